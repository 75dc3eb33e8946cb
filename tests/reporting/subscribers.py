"""People who are subscribed, and the mails that the ledger holds for them."""

import json
from datetime import UTC, datetime
from typing import Any

from reporting.subscribing.tables import Subscription
from routing.ledger.tables import Message

BEGAN = datetime(2026, 11, 16, tzinfo=UTC)
"""Week 46 is just over."""


def subscribe(address: str = "ann@example.org", **fields: Any) -> Subscription:
    """By default to the weekly report, from that of week 46 on, on Monday at 9 o'clock in UTC."""
    return Subscription.objects.create(email=address, **{"counts_from": BEGAN, "time_zone": "UTC", **fields})


def mails() -> list[dict[str, Any]]:
    """The named arguments of each mail's task, as they were enqueued."""
    bodies = Message.objects.filter(task="notifications.notify").order_by("created_at", "pk")
    return [json.loads(body)[1] for body in bodies.values_list("body", flat=True)]


def mailed() -> list[str]:
    """The addresses, sorted."""
    return sorted(address for mail in mails() for address in mail["to"])


def keys() -> list[str]:
    return sorted(mail["key"] for mail in mails())
