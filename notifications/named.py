"""What operators have named in a channel, webhook endpoints and chat targets: one name each, and a switch.

What is off is on the channel's suppression list, so that its deliveries say why they were not sent.
"""

from collections.abc import Iterable
from typing import Protocol

from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from notifications.channels.webhook import NAME
from notifications.consent import suppression_list
from notifications.consent.tables import Suppression
from notifications.problems import InvalidNotification, Problem


class Named(Protocol):
    name: str


class Switches:
    """``channel``: the one in which they are named."""

    def __init__(self, channel: str) -> None:
        self._channel = channel

    def switch_off(self, one: Named, *, by: str, because: str = "") -> bool:
        """Nothing is sent to it; what it is meant to get becomes suppressed. False if it was off already."""
        _row, is_new = suppression_list.suppress(one.name, channel=self._channel, by=by, detail=because)
        return is_new

    def switch_on(self, one: Named, *, by: str, because: str = "") -> bool:
        """Whatever it was off for. False if it was on."""
        return bool(suppression_list.lift(one.name, channel=self._channel, by=by, because=because))

    def off(self, several: Iterable[Named]) -> dict[str, Suppression]:
        """Why each of those that nothing is sent to is off, by name."""
        names = [one.name for one in several]
        rows = suppression_list.in_force().filter(channel=self._channel, address_key__in=names)
        return {row.address_key: row for row in rows.order_by("pk")}


def require_name(name: str, *, such_as: str) -> None:
    """Raises InvalidNotification."""
    if not NAME.match(name):
        cure = _("has to begin with a small letter; then up to 39 small letters, digits and -, such as %(example)s.")
        raise InvalidNotification([Problem("name", cure % {"example": such_as})])


def save_new(row: Model, name: str) -> None:
    """Raises InvalidNotification if the name is taken."""
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        told = _("%(name)s is there already; choose another one.") % {"name": name}
        raise InvalidNotification([Problem("name", told)]) from None
