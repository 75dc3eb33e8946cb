"""System checks: an installation that could send no e-mail does not start."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from notifications import addresses
from notifications.channels import servers


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


@register()
def check_servers(**_: Any) -> list[CheckMessage]:
    """Only providers: whether a folder or a server is there may change, and deliveries wait for it."""
    return list(_wrong_providers())


def _wrong_providers() -> Iterator[CheckMessage]:
    for lane in ("", *settings.TASKYARD_EMAIL_LANES):
        if not servers.is_provider(lane):
            continue
        try:
            servers.backend(lane)
        except (ImproperlyConfigured, ImportError, TypeError) as error:
            provider = servers.host(lane)
            # It names the settings of a project that is configured in Python, which this one is not.
            missing = re.search(rf"'{provider}_(\w+)'", str(error), re.IGNORECASE)
            why = f"{missing[1].lower()} is missing." if missing else str(error)
            yield Error(
                f"{servers.variable(lane)} cannot be used: {why}",
                hint=(
                    "Write all that django-anymail wants of this provider behind the question mark, in small letters, "
                    f"such as anymail+{provider}://?api_key=…&sender_domain=mg.example.org."
                ),
                id="notifications.E002",
            )
