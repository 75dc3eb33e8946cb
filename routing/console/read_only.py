"""Admin pages of what the pipeline keeps: to be found, read and never changed."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.views import ChangeList


class ReadOnlyList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.has_active_filters and not self.query:
            # Nothing was narrowed, so the one count that was made is of all rows.
            self.full_result_count = self.result_count


class ReadOnlyAdmin(ModelAdmin):
    """Whoever may see results sees tasks in flight and dead letters too: it is one story."""

    actions: Any = None
    list_per_page = 50
    list_fullwidth = True
    show_full_result_count = False

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
