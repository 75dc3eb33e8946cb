from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class RoutingConfig(AppConfig):
    name = "routing"
    verbose_name = "Pipeline"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from routing import alarm, budget, checks  # noqa: F401  (registers the system checks, and what beat starts)

        post_migrate.connect(_give_permissions, dispatch_uid="routing.groups")


def _give_permissions(sender: AppConfig, using: str, **_: Any) -> None:
    from routing.console import groups

    groups.give(sender, using=using)
