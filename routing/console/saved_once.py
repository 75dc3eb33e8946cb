"""Forms in the admin with one button to save: nobody adds a row after a row there, or goes on with what is saved."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin


class SavedOnce(ModelAdmin):
    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= {"show_save_and_continue": False, "show_save_and_add_another": False}
        page: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return page
