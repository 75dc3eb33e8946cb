"""What operators do with chat targets: add one, give it another URL, switch it off and on, and try it."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications import services
from notifications.channels.webhook import NAME
from notifications.chat import schemes, seals
from notifications.chat.tables import ChatTarget
from notifications.consent import suppression_list
from notifications.consent.tables import Suppression
from notifications.problems import InvalidNotification, Problem
from notifications.tables import Notification

CHANNEL = "chat"
TEST = "Test"


def add(name: str, url: str, *, by: str) -> ChatTarget:
    """Raises InvalidNotification, which names the field."""
    require_name(name)
    read = schemes.read(url)
    row = ChatTarget(
        name=name,
        url=seals.seal(url),
        scheme=read.scheme,
        host=read.host,
        changed_at=timezone.now(),
        created_by=by,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        told = _("%(name)s is there already; choose another one.") % {"name": name}
        raise InvalidNotification([Problem("name", told)]) from None
    return row


def move(target: ChatTarget, url: str) -> bool:
    """False if somebody else has changed it since it was read. Raises InvalidNotification."""
    read = schemes.read(url)
    same = ChatTarget.objects.filter(pk=target.pk, changed_at=target.changed_at)
    new = {"url": seals.seal(url), "scheme": read.scheme, "host": read.host, "changed_at": timezone.now()}
    return same.update(**new) == 1


def switch_off(target: ChatTarget, *, by: str, because: str = "") -> bool:
    """Nothing is sent to it; what it is meant to get becomes suppressed. False if it was off already."""
    _row, is_new = suppression_list.suppress(target.name, channel=CHANNEL, by=by, detail=because)
    return is_new


def switch_on(target: ChatTarget, *, by: str, because: str = "") -> bool:
    """Whatever it was off for. False if it was on."""
    return bool(suppression_list.lift(target.name, channel=CHANNEL, by=by, because=because))


def off(targets: Iterable[ChatTarget]) -> dict[str, Suppression]:
    """Why each of those that nothing is sent to is off, by name."""
    rows = suppression_list.in_force().filter(channel=CHANNEL, address_key__in=[one.name for one in targets])
    return {row.address_key: row for row in rows.order_by("pk")}


def send_test(target: ChatTarget, *, by: str) -> Notification:
    """By the way that all others go: its delivery tells how it was answered."""
    text = f"{by} tries whether messages for {target.name} arrive here. They do."
    return services.notify(target.name, channel=CHANNEL, subject=TEST, text=text, created_by=by)


def shown(target: ChatTarget) -> str:
    """Its URL, without what is secret of it."""
    return schemes.shown(target.scheme, target.host)


def require_name(name: str) -> None:
    """Raises InvalidNotification."""
    if not NAME.match(name):
        cure = _("has to begin with a small letter; then up to 39 small letters, digits and -, such as %(example)s.")
        raise InvalidNotification([Problem("name", cure % {"example": "ops-chat"})])
