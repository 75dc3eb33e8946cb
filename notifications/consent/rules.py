"""Whether a recipient may be written to, and how they say that they do not want to be."""

from collections.abc import Mapping

from notifications import categories
from notifications.consent.tables import Preference, Suppression
from notifications.tables import Delivery


def objection(delivery: Delivery) -> str:
    """Why it must not be sent; empty if it may."""
    mine = Suppression.objects.filter(channel=delivery.channel, address_key=delivery.address_key)
    if (reason := mine.values_list("reason", flat=True).first()) is not None:
        return str(reason)
    category = categories.get(delivery.notification.category)
    unwanted = Preference.objects.filter(address_key=delivery.address_key, category=category.name, wanted=False)
    return "unsubscribed" if not category.required and unwanted.exists() else ""


def headers(delivery: Delivery) -> Mapping[str, str]:  # noqa: ARG001
    """What the message carries so that its recipient can unsubscribe with one click."""
    return {}


def suppress(delivery: Delivery, *, detail: str) -> None:
    """Its server says that nothing will ever reach this address."""
    Suppression.objects.get_or_create(
        channel=delivery.channel,
        address_key=delivery.address_key,
        defaults={"reason": Suppression.Reason.REFUSED, "detail": detail, "delivery": delivery},
    )
