"""What operators do with endpoints: add one, send it elsewhere, rotate its secret, switch it off and on, and try it."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications import services
from notifications.channels.webhook import NAME
from notifications.consent import suppression_list
from notifications.consent.tables import Suppression
from notifications.problems import InvalidNotification, Problem
from notifications.tables import Notification
from notifications.webhooks import keys, places
from notifications.webhooks.tables import Endpoint
from routing.sealing import SealedOtherwise

CHANNEL = "webhook"
OVERLAP = timedelta(days=1)
"""While a receiver is given the new secret, the old one signs as well."""
LONGEST_OVERLAP = timedelta(days=30)
TEST = "taskyard.test"


def add(name: str, url: str, *, by: str) -> tuple[Endpoint, str]:
    """With its secret, which is shown now and never again. Raises InvalidNotification, which names the field."""
    require_name(name)
    require_url(url)
    secret = keys.new()
    row = Endpoint(name=name, url=url, secret=keys.seal(secret), rotated_at=timezone.now(), created_by=by)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        told = _("%(name)s is there already; choose another one.") % {"name": name}
        raise InvalidNotification([Problem("name", told)]) from None
    return row, secret


def move(endpoint: Endpoint, url: str) -> bool:
    """False if somebody else has changed it since it was read. Raises InvalidNotification."""
    require_url(url)
    return Endpoint.objects.filter(pk=endpoint.pk, url=endpoint.url).update(url=url) == 1


def rotate(endpoint: Endpoint, *, overlap: timedelta = OVERLAP) -> str | None:
    """The new secret, which is shown now and never again; for ``overlap`` the one of before signs as well.

    None if somebody else has rotated it since it was read.
    """
    now, secret = timezone.now(), keys.new()
    changed = Endpoint.objects.filter(pk=endpoint.pk, secret=endpoint.secret).update(
        secret=keys.seal(secret),
        previous_secret=endpoint.secret if overlap else "",
        previous_until=now + overlap if overlap else None,
        rotated_at=now,
    )
    return secret if changed else None


def switch_off(endpoint: Endpoint, *, by: str, because: str = "") -> bool:
    """Nothing is sent to it; what it is meant to get becomes suppressed. False if it was off already."""
    _row, is_new = suppression_list.suppress(endpoint.name, channel=CHANNEL, by=by, detail=because)
    return is_new


def switch_on(endpoint: Endpoint, *, by: str, because: str = "") -> bool:
    """Whatever it was off for. False if it was on."""
    return bool(suppression_list.lift(endpoint.name, channel=CHANNEL, by=by, because=because))


def off(endpoints: Iterable[Endpoint]) -> dict[str, Suppression]:
    """Why each of those that nothing is sent to is off, by name."""
    rows = suppression_list.in_force().filter(channel=CHANNEL, address_key__in=[one.name for one in endpoints])
    return {row.address_key: row for row in rows.order_by("pk")}


def send_test(endpoint: Endpoint, *, by: str) -> Notification:
    """By the way that all others go: its delivery tells how it was answered."""
    values: dict[str, Any] = {"endpoint": endpoint.name, "by": by}
    return services.notify(endpoint.name, channel=CHANNEL, subject=TEST, context=values, created_by=by)


def reseal_all() -> tuple[int, list[str]]:
    """Those that were sealed with an older SECRET_KEY, with today's: how many, and the names of those that cannot be.

    Safe to call again.
    """
    done, unreadable = 0, []
    for row in Endpoint.objects.order_by("name"):
        if keys.is_of_todays_key(row):
            continue
        try:
            secret, previous = keys.reseal(row.secret), keys.reseal(row.previous_secret)
        except SealedOtherwise:
            unreadable.append(row.name)
            continue
        same = Endpoint.objects.filter(pk=row.pk, secret=row.secret, previous_secret=row.previous_secret)
        done += same.update(secret=secret, previous_secret=previous)
    return done, unreadable


def require_name(name: str) -> None:
    """Raises InvalidNotification."""
    if not NAME.match(name):
        cure = _("has to begin with a small letter; then up to 39 small letters, digits and -, such as %(example)s.")
        raise InvalidNotification([Problem("name", cure % {"example": "web-shop"})])


def require_url(url: str) -> None:
    """Raises InvalidNotification."""
    try:
        places.read(url)
    except (places.Unusable, places.Closed) as error:
        raise InvalidNotification([Problem("url", str(error))]) from None
