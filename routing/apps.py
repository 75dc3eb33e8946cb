from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy


class RoutingConfig(AppConfig):
    name = "routing"
    verbose_name = gettext_lazy("Pipeline")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from routing import alarm, budget, checks, tracing  # noqa: F401  (registers checks, and what beat starts)

        if settings.TASKYARD_TRACES:
            tracing.begin(settings.TASKYARD_TRACES)
        post_migrate.connect(_give_permissions, dispatch_uid="routing.groups")


def _give_permissions(sender: AppConfig, using: str, **_: Any) -> None:
    from routing.console import groups

    groups.give(sender, using=using)
