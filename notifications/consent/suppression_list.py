"""The addresses that are not written to: suppressed for a reason, until somebody lifts that."""

from django.db.models import QuerySet
from django.utils import timezone

from notifications import channels
from notifications.consent.tables import Suppression
from notifications.tables import Delivery

Reason = Suppression.Reason


def suppress(
    address: str, *, channel: str = "email", reason: str = Reason.BY_HAND, detail: str = "", by: str = ""
) -> tuple[Suppression, bool]:
    """Never write to it again; also whether that is new. Safe to call again: the first one stays.

    Raises InvalidAddress, and LookupError for a channel that there is not.
    """
    return suppress_key(key(address, channel=channel), channel=channel, reason=reason, detail=detail, by=by)


def suppress_key(
    address_key: str, *, channel: str, reason: str, detail: str = "", by: str = "", delivery: Delivery | None = None
) -> tuple[Suppression, bool]:
    """The same for an address in the spelling by which it is looked up."""
    # Two at once: the constraint lets one in, and the other then finds it.
    return Suppression.objects.get_or_create(
        channel=channel,
        address_key=address_key,
        reason=reason,
        lifted_at=None,
        defaults={"detail": detail, "created_by": by, "delivery": delivery},
    )


def lift(address: str, *, channel: str = "email", reason: str | None = None, by: str = "", because: str = "") -> int:
    """Write to it again, for all reasons or this one; how many were in force. Safe to call again.

    What it was suppressed for stays on record. Raises InvalidAddress and LookupError.
    """
    rows = in_force().filter(channel=channel, address_key=key(address, channel=channel))
    return lift_rows(rows if reason is None else rows.filter(reason=reason), by=by, because=because)


def lift_rows(rows: QuerySet[Suppression], *, by: str, because: str) -> int:
    return rows.filter(lifted_at=None).update(lifted_at=timezone.now(), lifted_by=by, lifted_because=because)


def suppressions(address: str = "", *, channel: str | None = None, with_lifted: bool = False) -> QuerySet[Suppression]:
    """The newest first; of one address or all. Raises InvalidAddress and LookupError."""
    rows = (Suppression.objects.all() if with_lifted else in_force()).order_by("-pk")
    if channel is not None:
        rows = rows.filter(channel=channel)
    return rows.filter(address_key=key(address, channel=channel or "email")) if address else rows


def in_force() -> QuerySet[Suppression]:
    return Suppression.objects.filter(lifted_at=None)


def reasons(address_key: str, *, channel: str) -> set[str]:
    return set(in_force().filter(channel=channel, address_key=address_key).values_list("reason", flat=True))


def key(address: str, *, channel: str = "email") -> str:
    """The one spelling by which it is looked up. Raises InvalidAddress and LookupError."""
    return channels.get(channel).key(address)
