"""What operators do with chat targets: add one, give it another URL, switch it off and on, and try it."""

from django.utils import timezone

from notifications import named, services
from notifications.chat import schemes, seals
from notifications.chat.tables import ChatTarget
from notifications.tables import Notification

CHANNEL = "chat"
TEST = "Test"
_switches = named.Switches(CHANNEL)
switch_off, switch_on, off = _switches.switch_off, _switches.switch_on, _switches.off


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
    named.save_new(row, name)
    return row


def move(target: ChatTarget, url: str) -> bool:
    """False if somebody else has changed it since it was read. Raises InvalidNotification."""
    read = schemes.read(url)
    same = ChatTarget.objects.filter(pk=target.pk, changed_at=target.changed_at)
    new = {"url": seals.seal(url), "scheme": read.scheme, "host": read.host, "changed_at": timezone.now()}
    return same.update(**new) == 1


def send_test(target: ChatTarget, *, by: str) -> Notification:
    """By the way that all others go: its delivery tells how it was answered."""
    text = f"{by} tries whether messages for {target.name} arrive here. They do."
    return services.notify(target.name, channel=CHANNEL, subject=TEST, text=text, created_by=by)


def shown(target: ChatTarget) -> str:
    """Its URL, without what is secret of it."""
    return schemes.shown(target.scheme, target.host)


def require_name(name: str) -> None:
    """Raises InvalidNotification."""
    named.require_name(name, such_as="ops-chat")
