"""What operators do with endpoints: add one, send it elsewhere, rotate its secret, switch it off and on, and try it."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from notifications import named, services
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
_switches = named.Switches(CHANNEL)
switch_off, switch_on, off = _switches.switch_off, _switches.switch_on, _switches.off


def add(name: str, url: str, *, by: str) -> tuple[Endpoint, str]:
    """With its secret, which is shown now and never again. Raises InvalidNotification, which names the field."""
    require_name(name)
    require_url(url)
    secret = keys.new()
    row = Endpoint(name=name, url=url, secret=keys.seal(secret), rotated_at=timezone.now(), created_by=by)
    named.save_new(row, name)
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
    named.require_name(name, such_as="web-shop")


def require_url(url: str) -> None:
    """Raises InvalidNotification."""
    try:
        places.read(url)
    except (places.Unusable, places.Closed) as error:
        raise InvalidNotification([Problem("url", str(error))]) from None
