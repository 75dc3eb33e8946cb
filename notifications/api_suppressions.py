"""The addresses that are not written to, as the HTTP API shows and changes them."""

from django.db.models import QuerySet

from notifications import channels
from notifications.consent.tables import Suppression

CHANNEL = "email"


def suppress(address: str, *, reason: str, detail: str, by: str) -> tuple[Suppression, bool]:
    """Never write to it again; also whether that is new. Safe to call again: the first one stays.

    Raises InvalidAddress.
    """
    # Two at once: the constraint lets one in, and the other then finds it.
    return Suppression.objects.get_or_create(
        channel=CHANNEL,
        address_key=key(address),
        defaults={"reason": reason, "detail": detail, "created_by": by},
    )


def lift(address: str) -> int:
    """Write to it again; how many suppressions were in force. Safe to call again. Raises InvalidAddress."""
    deleted, _ = Suppression.objects.filter(channel=CHANNEL, address_key=key(address)).delete()
    return deleted


def suppressions(address: str = "") -> "QuerySet[Suppression]":
    """The newest first; of one address or all. Raises InvalidAddress."""
    rows = Suppression.objects.filter(channel=CHANNEL).order_by("-pk")
    return rows.filter(address_key=key(address)) if address else rows


def key(address: str) -> str:
    return channels.get(CHANNEL).address(address).key
