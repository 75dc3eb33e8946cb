"""Which notification a mailing is: the one it was begun as, to go on with, or on purpose another one."""

from dataclasses import dataclass
from itertools import count

from notifications.recipients import Unusable
from notifications.tables import Notification


@dataclass(frozen=True)
class Found:
    """``notification`` is None where nothing was ever stored under this key."""

    key: str
    notification: Notification | None


def find(key: str, *, again: bool) -> Found:
    """The newest of those that were sent under this key; with ``again``, the next one. Raises Unusable."""
    newest = Found(key, None)
    for number in count(1):
        name = key if number == 1 else f"{key}:{number}"
        notification = Notification.objects.filter(key=name).first()
        if notification is None:
            break
        newest = Found(name, notification)
    if again and newest.notification:
        _require_ended(newest.notification)
        return Found(name, None)
    if newest.notification and newest.notification.cancelled_at:
        raise Unusable("This mailing has been cancelled. Add --again to send it anew, to everybody.")
    return newest


def _require_ended(notification: Notification) -> None:
    if not (notification.is_complete or notification.cancelled_at):
        raise Unusable(
            f"This mailing was stopped after row {notification.consumed:,}. The same command without --again goes on "
            f"with it; to send it anew, cancel notification {notification.pk} first."
        )
