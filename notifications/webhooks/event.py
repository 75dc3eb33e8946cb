"""What a webhook says: a type, a time, and the values that its caller gave, as Standard Webhooks recommends."""

import json
import re
from collections.abc import Iterator
from typing import Any

from notifications.channels.shape import Message
from notifications.problems import Problem

MAX_BYTES = 1_000_000
_TYPE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*\Z")
_MAX_TYPE = 250


def problems(*, subject: str, html: str) -> Iterator[Problem]:
    if not _TYPE.match(subject) or len(subject) > _MAX_TYPE:
        yield Problem(
            "subject",
            "is the type of the event for a webhook: words of letters, digits and _ with dots between, such as "
            "order.shipped.",
        )
    if html:
        yield Problem("html", "is nothing that a webhook carries; give values in context, and leave it out.")


def body(message: Message) -> bytes:
    """The same whenever the same delivery is sent."""
    return json.dumps(_document(message), separators=(",", ":")).encode()


def pretty(message: Message) -> str:
    return json.dumps(_document(message), indent=2, ensure_ascii=False)


def event_id(message: Message) -> str:
    """Of the header ``webhook-id``: the delivery's Message-ID without the dot that stands between signed parts."""
    return "msg_" + message.id.strip("<>").partition("@")[0].replace(".", "_")


def _document(message: Message) -> dict[str, Any]:
    at = message.asked_at
    document = {
        "type": message.subject,
        "timestamp": at.isoformat().replace("+00:00", "Z") if at else None,
        "data": message.values,
    }
    return document | ({"text": message.text} if message.text.strip() else {})
