"""Admin pages of what the pipeline keeps: to be found, read and never changed."""

from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from unfold.admin import ModelAdmin, checkbox
from unfold.views import ChangeList


class ReadOnlyList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.has_active_filters and not self.query:
            # Nothing was narrowed, so the one count that was made is of all rows.
            self.full_result_count = self.result_count


_ROW = "--row--"


@cache
def _checkbox(_language: str | None) -> str:
    return str(checkbox.render(ACTION_CHECKBOX_NAME, _ROW))


class ReadOnlyAdmin(ModelAdmin):
    """Whoever may see results sees tasks in flight and dead letters too: it is one story."""

    actions: Any = None
    list_per_page = 50
    list_fullwidth = True
    show_full_result_count = False

    @admin.display(description=ModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Any) -> SafeString:
        """The theme's own, made from its template once and not for each row."""
        return mark_safe(_checkbox(get_language()).replace(_ROW, escape(obj.pk)))  # noqa: S308  (the key is escaped)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ReadOnlyList

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return bool(super().has_view_permission(request, obj) or user.has_perm("django_celery_results.view_taskresult"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
