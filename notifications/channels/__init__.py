"""The ways to reach people: one file for each channel, all of one shape."""

from notifications.channels.chat import ChatChannel
from notifications.channels.email import EmailChannel
from notifications.channels.in_app import InAppChannel
from notifications.channels.shape import Channel
from notifications.channels.webhook import WebhookChannel

_ALL: tuple[Channel, ...] = (EmailChannel(), WebhookChannel(), InAppChannel(), ChatChannel())
_CHANNELS = {channel.name: channel for channel in _ALL}


def get(name: str) -> Channel:
    """Raises LookupError."""
    try:
        return _CHANNELS[name]
    except KeyError:
        raise LookupError(f"{name!r} is no channel; use one of {', '.join(_CHANNELS)}.") from None


def all_of_them() -> list[Channel]:
    return list(_CHANNELS.values())
