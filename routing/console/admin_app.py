"""Django's admin, whose pages only the web and the system checks load: workers, relay and beat start without them."""

from typing import Any

from django.contrib.admin import autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register


class AdminConfig(SimpleAdminConfig):
    """The web loads the pages in project/urls.py."""

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(check_pages, Tags.admin)


def check_pages(**options: Any) -> list[CheckMessage]:
    """Django's own check of all admin pages, which looks at those that are loaded."""
    autodiscover()
    return list(check_admin_app(**options))
