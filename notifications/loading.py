"""A delivery with what decides whether it may go: one statement, where its notification is known already."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from notifications import categories
from notifications.consent import rules
from notifications.tables import Delivery, Notification
from routing.ledger import database

KEPT_FOR = 60.0
"""Seconds for which a process goes by what it has read of a notification: what it says does not change."""


def load(notification: UUID, position: int) -> Delivery:
    """Raises Delivery.DoesNotExist."""
    found, _ = _known(notification, int(time.monotonic() / KEPT_FOR))
    names = categories.names(found.category)
    key = Notification._meta.pk.get_db_prep_value(notification, database.connection())
    for delivery in Delivery.objects.using(database.using()).raw(_sql(len(names)), [*names, key, position]):
        delivery.notification = found
        return delivery
    raise Delivery.DoesNotExist(f"Notification {notification} has no recipient number {position}.")


def objection(delivery: Any) -> str:
    """Why it must not be sent, by what was loaded with it; empty if it may. Raises UnknownCategory."""
    reasons = frozenset(filter(None, (delivery.suppressed_for or "").split(",")))
    category = categories.get(delivery.notification.category)
    return rules.judged(category, reasons, is_unwanted=lambda: delivery.is_wanted in (False, 0))


@lru_cache(maxsize=16)
def _known(key: UUID, period: int) -> tuple[Notification, int]:
    """Whoever sends many of one reads it once in a period. Not to be changed: others have it, too."""
    notifications = Notification.objects.using(database.using()).select_related("template__template")
    return notifications.get(pk=key), period


@lru_cache(maxsize=8)
def _columns() -> Sequence[str]:
    return [f"delivery.{field.column}" for field in Delivery._meta.concrete_fields]


def _sql(names: int) -> str:
    listed = "string_agg" if database.on_postgresql() else "group_concat"
    places = ", ".join(["%s"] * names)
    return f"""
        SELECT {", ".join(_columns())},
            (SELECT {listed}(reason, ',') FROM notifications_suppression AS suppression
             WHERE suppression.address_key = delivery.address_key AND suppression.channel = delivery.channel
                AND lifted_at IS NULL) AS suppressed_for,
            (SELECT wanted FROM notifications_preference AS preference
             WHERE preference.address_key = delivery.address_key AND category IN ({places})
             ORDER BY changed_at DESC, id DESC LIMIT 1) AS is_wanted
        FROM notifications_delivery AS delivery WHERE notification_id = %s AND position = %s
    """
