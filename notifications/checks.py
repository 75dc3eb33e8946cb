"""System checks: an installation that could send no e-mail does not start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from notifications import addresses


@register()
def check_sender(**_: Any) -> list[CheckMessage]:
    try:
        addresses.parse(settings.DEFAULT_FROM_EMAIL)
    except addresses.InvalidAddress as error:
        return [
            Error(
                f"DEFAULT_FROM_EMAIL cannot be used: {error}.",
                hint="Set it to an address such as taskyard@example.org or Taskyard <taskyard@example.org>.",
                id="notifications.E001",
            )
        ]
    return []
