"""Where Django looks for admin pages; the pipeline's are in the console."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from routing.console import (
    admin_cleanups,
    admin_dead_letters,
    admin_erasures,
    admin_jobs,
    admin_log,
    admin_messages,
    admin_results,
    admin_schedule,
    admin_slots,
    admin_tokens,
    admin_users,
)

__all__ = [
    "admin_cleanups",
    "admin_dead_letters",
    "admin_erasures",
    "admin_jobs",
    "admin_log",
    "admin_messages",
    "admin_results",
    "admin_schedule",
    "admin_slots",
    "admin_tokens",
    "admin_users",
]

admin.site.index_template = "console/start_page.html"
admin.site.index_title = _("Overview")
