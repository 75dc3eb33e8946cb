"""What came back of what was sent: each bounce and complaint is taken in once, in any order, and has its effect.

All of one is one transaction: whoever told us and got no answer tells us again. A bounce may be quicker than the worker
that sent the message: it takes the delivery out of SENDING then, and the worker's own end of it changes nothing more.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from notifications import categories, channels
from notifications.addresses import InvalidAddress
from notifications.consent import blame, choices, suppression_list
from notifications.consent.tables import Feedback, Suppression
from notifications.tables import Delivery

logger = logging.getLogger(__name__)

Kind = Feedback.Kind
BOUNCED = "bounced"
KEPT = 64_000
"""Characters of what was not understood."""
SHORTEST_ID = 8
"""Characters of a provider's own id."""

_OURS = re.compile(r"<?([0-9a-f]{32})\.(\d{1,9})@[^<>@\s]+>?\Z", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Told:
    """One bounce or complaint, by the Message-ID of what was sent, the address, or both."""

    kind: Feedback.Kind
    message_id: str = ""
    address: str = ""
    status: str = ""
    """Such as ``5.1.1`` (RFC 3463)."""
    detail: str = ""
    blames_address: bool | None = None
    """Whether nothing will ever reach it; None for what the status and detail say."""
    id: str = ""
    """By which whoever tells it knows it, so that it is known when it is told again."""
    at: str = ""


@dataclass(frozen=True)
class Recorded:
    row: Feedback
    is_new: bool
    """False if it had been told before: nothing has changed."""


def record(told: Told, *, source: str) -> Recorded:
    """Take it in, unless that is done. Safe to call again."""
    with transaction.atomic():
        delivery = _delivery(told)
        key = delivery.address_key if delivery else address_key(told.address)
        row, is_new = Feedback.objects.get_or_create(
            fingerprint=_fingerprint(told, key),
            defaults={
                "kind": told.kind,
                "address_key": key,
                "message_id": _storable(told.message_id),
                "detail": _storable(told.detail),
                "delivery": delivery,
                "source": source,
            },
        )
        if is_new:
            row.effect = "; ".join(_effects(told, row)) or ("" if delivery else "not of a delivery that is known")
            row.save(update_fields=["effect"])
    if is_new:
        logger.info("%s of %s, told by %s: %s", row.get_kind_display(), key, source, row.effect or "noted")
    return Recorded(row, is_new)


def keep(raw: bytes, *, why: str, source: str) -> Feedback:
    """What nobody understood, for an operator to look at. Safe to call again."""
    row, _ = Feedback.objects.get_or_create(
        fingerprint=hashlib.sha256(raw).hexdigest(),
        defaults={
            "kind": Kind.UNREADABLE,
            "detail": why,
            "raw": _storable(raw.decode(errors="replace"))[:KEPT],
            "source": source,
        },
    )
    return row


def address_key(text: str) -> str:
    """Empty for what is no address."""
    try:
        return channels.get("email").address(text).key
    except InvalidAddress:
        return ""


def _delivery(told: Told) -> Delivery | None:
    rows = Delivery.objects.select_related("notification")
    if ours := _OURS.match(told.message_id.strip()):
        return rows.filter(notification=UUID(ours[1]), position=int(ours[2])).first()
    key, theirs = address_key(told.address), _storable(told.message_id).strip()
    if len(theirs) < SHORTEST_ID or not key:
        return None
    # A provider that gives an id of its own has told it when it took the message.
    return rows.filter(address_key=key, answer__endswith=theirs).order_by("-pk").first()


def _fingerprint(told: Told, key: str) -> str:
    if told.id:
        known_by = [told.id]
    elif told.message_id:
        known_by = [told.message_id]
    else:
        # Nothing tells one from the next: those of a day are taken for the same.
        known_by = [told.at or f"{timezone.now():%Y-%m-%d}"]
    return hashlib.sha256(json.dumps([told.kind, key or told.address, *known_by]).encode()).hexdigest()


def _effects(told: Told, row: Feedback) -> Iterator[str]:
    if told.kind == Kind.HARD_BOUNCE:
        yield from _bounce(told, row)
    elif told.kind == Kind.COMPLAINT:
        yield from _complain(row)


def _bounce(told: Told, row: Feedback) -> Iterator[str]:
    if row.delivery and _bounced(row.delivery, row.detail):
        yield "the delivery is bounced"
    blames = told.blames_address
    if (blame.blames(told.status, told.detail) if blames is None else blames) and _suppress(row, BOUNCED):
        yield "the address is suppressed"


def _bounced(delivery: Delivery, detail: str) -> bool:
    """False if it was not on its way, or is known to have bounced."""
    handed_over = Delivery.objects.filter(pk=delivery.pk, state__in=[Delivery.State.SENT, Delivery.State.SENDING])
    changed = handed_over.update(
        state=Delivery.State.BOUNCED,
        reason=BOUNCED,
        answer=detail,
        sealed="",
        finished_at=Coalesce("finished_at", Now()),
    )
    return changed == 1


def _complain(row: Feedback) -> Iterator[str]:
    if _suppress(row, Suppression.Reason.COMPLAINED):
        yield "the address is suppressed"
    if row.delivery and not _is_required(row.delivery):
        category = categories.renamed(row.delivery.notification.category)
        choices.choose(row.address_key, {category: False}, source="complaint")
        yield f"unsubscribed from {category}"


def _is_required(delivery: Delivery) -> bool:
    try:
        return categories.get(delivery.notification.category).required
    except categories.UnknownCategory:
        return False


def _suppress(row: Feedback, reason: str) -> bool:
    if not row.address_key:
        return False
    _, is_new = suppression_list.suppress_key(
        row.address_key,
        channel=row.channel,
        reason=reason,
        detail=row.detail,
        by=row.source,
        delivery=row.delivery,
    )
    return is_new


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL, and no half of a surrogate pair."""
    return text.replace("\0", "�").encode(errors="replace").decode()
