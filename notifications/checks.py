"""System checks: an installation that could send no e-mail does not start."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Doubt
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
                id="notifications.E005",
            )


@register()
def check_limits(**_: Any) -> list[CheckMessage]:
    """A limit that nothing ever meets protects nobody."""
    return list(_wrong_limits()) if settings.NOTIFICATIONS_LIMITS else []


def _wrong_limits() -> Iterator[CheckMessage]:
    from notifications import channels
    from notifications.lanes import lanes
    from notifications.pacing import limits

    for name in settings.NOTIFICATIONS_LIMITS:
        channel, colon, _host = name.partition(":")
        try:
            found = channels.get(channel)
            hosts = {limits.host_gate(channel, host) for lane in lanes() for host in found.hosts(lane=lane)}
        except LookupError as error:
            yield Error(
                f"NOTIFICATIONS_LIMITS names {name}: {error}",
                hint="Name a channel, such as email=50/s, or one host of it, such as email:smtp.example.org:587=20/s.",
                id="notifications.E006",
            )
            continue
        # Those of the other channels are rows, which may change.
        if colon and hosts and name not in hosts:
            yield Doubt(
                f"NOTIFICATIONS_LIMITS names {name}, and nothing is sent there.",
                hint=f"This is what there is: {', '.join(sorted(hosts))}.",
                id="notifications.W004",
            )
