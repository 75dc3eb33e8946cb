"""Whether a recipient may be written to, and how they say that they do not want to be."""

from collections.abc import Callable, Collection, Mapping, Set
from functools import partial
from operator import contains

from notifications import categories
from notifications.categories import Category
from notifications.consent import choices, suppression_list
from notifications.consent.links import Reader
from notifications.consent.tables import Suppression
from notifications.tables import Delivery

UNSUBSCRIBED = "unsubscribed"
_COMPLAINED = Suppression.Reason.COMPLAINED


def objection(delivery: Delivery) -> str:
    """Why it must not be sent; empty if it may. Raises UnknownCategory."""
    category = categories.get(delivery.notification.category)
    reasons = suppression_list.reasons(delivery.address_key, channel=delivery.channel)
    return judged(category, reasons, is_unwanted=lambda: choices.is_unwanted(delivery.address_key, category))


def objections(address_keys: Collection[str], category: Category, *, channel: str) -> dict[str, str]:
    """Why those of them that must not be written to are not. Two questions to the database, however many there are."""
    reasons: dict[str, set[str]] = {key: set() for key in address_keys}
    suppressed = suppression_list.in_force().filter(channel=channel, address_key__in=reasons)
    for key, reason in suppressed.values_list("address_key", "reason"):
        reasons[key].add(reason)
    unwanted = set(choices.unwanted(category).filter(address_key__in=reasons).values_list("address_key", flat=True))
    found = {key: judged(category, why, is_unwanted=partial(contains, unwanted, key)) for key, why in reasons.items()}
    return {key: why for key, why in found.items() if why}


def judged(category: Category, reasons: Set[str], *, is_unwanted: Callable[[], bool]) -> str:
    """Why its recipient gets nothing of it, by what the address is suppressed for and what they have chosen."""
    # Nothing else reaches the address. Who has complained can be reached, and may need what is required.
    if never := sorted(reasons - {_COMPLAINED}):
        return never[0]
    if category.required:
        return ""
    if reasons:
        return str(_COMPLAINED)
    return UNSUBSCRIBED if is_unwanted() else ""


def headers(delivery: Delivery) -> Mapping[str, str]:
    """What the message carries so that its recipient can unsubscribe with one click (RFC 2369 and 8058)."""
    category = categories.get(delivery.notification.category)
    if category.required:
        return {}
    url = reader(delivery, category).unsubscribe_url
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def values(delivery: Delivery) -> Mapping[str, str]:
    """What every template may say: the links of this recipient. ``unsubscribe_url`` is empty where it is required."""
    category = categories.get(delivery.notification.category)
    mine = reader(delivery, category)
    return {
        "unsubscribe_url": "" if category.required else mine.unsubscribe_url,
        "preferences_url": mine.preferences_url,
    }


def suppress(delivery: Delivery, *, detail: str) -> None:
    """Its server says that nothing will ever reach this address. Safe to call again."""
    suppression_list.suppress_key(
        delivery.address_key,
        channel=delivery.channel,
        reason=Suppression.Reason.REFUSED,
        detail=detail,
        delivery=delivery,
    )


def reader(delivery: Delivery, category: Category) -> Reader:
    return Reader(delivery.channel, delivery.address_key, category.name)
