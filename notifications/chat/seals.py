"""A target's Apprise URL, sealed in its row: it holds tokens and passwords."""

from notifications.chat.tables import ChatTarget
from routing import sealing

PURPOSE = "chat"


def seal(url: str) -> str:
    return sealing.seal(url.encode(), purpose=PURPOSE)


def url_of(target: ChatTarget) -> str:
    """Raises routing.sealing.SealedOtherwise."""
    return sealing.unseal(target.url, purpose=PURPOSE).decode()
