"""The message of a delivery, made again as it went out, with what is secret masked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import format_datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from notifications import channels, consent, content
from notifications.channels.shape import File, Message
from notifications.content import Content
from notifications.tables import Delivery
from routing.errors import PermanentError

# Nothing is fetched, run, submitted or embedded, whatever the message says; its own styles are what it looks like.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'"
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)


@dataclass(frozen=True)
class Reproduced:
    """``is_identical``: whether it is what went out; None where nothing has gone out yet."""

    content: Content | None = None
    is_identical: bool | None = None
    problem: str = ""
    """Why it cannot be made again."""


def reproduce(delivery: Delivery) -> Reproduced:
    if emptied := delivery.emptied_at or delivery.notification.emptied_at:
        day = date_format(timezone.localtime(emptied))
        return Reproduced(problem=_("The clean-up has removed what it said on %(day)s.") % {"day": day})
    try:
        said = content.of(delivery)
    except PermanentError as error:
        return Reproduced(problem=str(error))
    return Reproduced(said, said.digest == delivery.digest if delivery.digest else None)


def headers(delivery: Delivery, said: Content) -> list[tuple[str, str]]:
    """Those that people ask about."""
    return list(channels.get(delivery.channel).headers(_message(delivery, said, files=[])))


def text(delivery: Delivery, said: Content) -> str:
    """What of it is to be read on a page."""
    return channels.get(delivery.channel).text(_message(delivery, said, files=[]))


def source(delivery: Delivery, said: Content) -> File:
    """As a file, such as one that mail readers open. Raises OSError where an attachment's file is gone."""
    return channels.get(delivery.channel).source(_message(delivery, said, files=list(_files(delivery))))


def framed(html: str) -> str:
    """For the ``srcdoc`` of a frame that may do nothing."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    doctype = _DOCTYPE.match(html)
    end = doctype.end() if doctype else 0
    return f"{html[:end]}{policy}{html[end:]}"


def _message(delivery: Delivery, said: Content, *, files: list[File]) -> Message:
    notification = delivery.notification
    handed = delivery.attempts.order_by("-number").values_list("started_at", flat=True).first()
    dated = {"Date": format_datetime(handed)} if handed else {}
    return Message(
        id=delivery.message_id,
        address=delivery.address,
        subject=said.subject,
        text=said.text,
        html=said.html,
        sender=notification.from_email,
        lane=notification.lane,
        reply_to=notification.reply_to,
        headers={**consent.headers(delivery), **dated},
        files=files,
        address_key=delivery.address_key,
        delivery=delivery.pk,
        values={**notification.context, **delivery.context},
        asked_at=notification.created_at,
    )


def _files(delivery: Delivery) -> Iterator[File]:
    for file in delivery.notification.attachments.order_by("pk"):
        with file.file.open() as opened:
            yield File(name=file.name, content=opened.read(), content_type=file.content_type)
