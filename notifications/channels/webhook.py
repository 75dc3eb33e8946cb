"""The webhook channel: an event for a program, posted to an endpoint that is known by its name, and signed."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy

from notifications.addresses import InvalidAddress
from notifications.channels import answers
from notifications.channels.shape import Address, Answer, File, Message, Unreachable
from notifications.problems import Problem
from notifications.tables import Attempt
from notifications.webhooks import event, keys, places, posting, signing
from notifications.webhooks.posting import Reply
from notifications.webhooks.tables import Endpoint
from routing.errors import PermanentError
from routing.sealing import SealedOtherwise

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
NOWHERE = "nowhere"
LISTED = 10
"""Endpoints that are told to whoever wrote to none."""

_REDIRECTED = "Redirects are not followed: have the endpoint's URL changed to where it really is."
_GONE, _TOO_MANY, _UNAVAILABLE = 410, 429, 503
# It has not said so itself, but who stands before it: then it is down for all of them.
_OF_ITS_PROXY = frozenset({502, 503, 504})


class WebhookChannel:
    name, title = "webhook", gettext_lazy("webhook")
    has_footer = takes_files = False
    takes_values = takes_secrets = True
    seconds = posting.SECONDS

    def address(self, text: str) -> Address:
        name = self.known(text)
        if not name:
            raise InvalidAddress(f"{text[:60]!r} is no webhook endpoint; {_known()}")
        return Address(name, name)

    def key(self, text: str) -> str:
        return text.replace("\0", "").strip().casefold()

    def known(self, text: str) -> str:
        name = self.key(text)
        return name if NAME.match(name) and Endpoint.objects.filter(name=name).exists() else ""

    def problems(
        self,
        *,
        subject: str,
        text: str,
        html: str,
        sender: str,
        reply_to: Sequence[str],
    ) -> Iterator[Problem]:
        yield from event.problems(subject=subject, html=html)
        if len(text.encode(errors="replace")) > event.MAX_BYTES:
            yield Problem("text", f"is longer than {event.MAX_BYTES:,} bytes; send a link instead.")
        if reply_to:
            yield Problem("reply_to", "is nothing that a webhook has; leave it out.")

    def host(self, address_key: str, *, lane: str) -> str:
        url = Endpoint.objects.filter(name=address_key).values_list("url", flat=True).first()
        try:
            return places.read(url).name if url else NOWHERE
        except (places.Unusable, places.Closed):
            return NOWHERE

    def hosts(self, *, lane: str) -> Collection[str]:
        return ()

    def send(self, message: Message, *, handing_over: Callable[[], Any]) -> Answer:
        endpoint = Endpoint.objects.filter(name=message.address).first()
        if endpoint is None:
            raise PermanentError(f"{message.address!r} is no webhook endpoint; {_known()}")
        place, body = places.read(endpoint.url), event.body(message)
        if len(body) > event.MAX_BYTES:
            raise PermanentError(
                f"The event has {len(body):,} bytes, and a webhook carries {event.MAX_BYTES:,}. Send a link to what is "
                "large."
            )
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Taskyard-Webhooks",
            **_signed(endpoint, message, body),
        }
        return read(posting.post(place, body, headers=headers, handing_over=handing_over, seconds=self.seconds))

    def headers(self, message: Message) -> Sequence[tuple[str, str]]:
        url = Endpoint.objects.filter(name=message.address).values_list("url", flat=True).first()
        return [("POST", url or NOWHERE), ("webhook-id", event.event_id(message))]

    def source(self, message: Message) -> File:
        return File(name="event.json", content=event.body(message), content_type="application/json")

    def text(self, message: Message) -> str:
        return event.pretty(message)


def _signed(endpoint: Endpoint, message: Message, body: bytes) -> dict[str, str]:
    now = timezone.now()
    try:
        secrets = keys.signing(endpoint, at=now)
    except SealedOtherwise:
        # What concerns all that goes there waits for its cure.
        raise Unreachable(
            f"The secret of {endpoint.name} was sealed with another SECRET_KEY. Put that one into "
            f"SECRET_KEY_FALLBACKS, or make a new secret: manage.py webhooks rotate {endpoint.name}"
        ) from None
    timestamp = int(now.timestamp())
    return signing.headers(event_id=event.event_id(message), timestamp=timestamp, body=body, secrets=secrets)


def read(reply: Reply, *, redirected: str = _REDIRECTED) -> Answer:
    """A server that answers 5xx says that it has not taken it."""
    code, said = reply.code, f"{reply.code} {reply.text}".strip()
    if code < 300:
        return Answer(Attempt.Outcome.ACCEPTED, said, code)
    if code < 400:
        to = f" to {reply.location}" if reply.location else ""
        return Answer(Attempt.Outcome.PERMANENT, f"{code} redirects{to}. {redirected}", code)
    if code == _TOO_MANY or code >= 500:
        wait = answers.retry_after(reply.retry_after) if code in (_TOO_MANY, _UNAVAILABLE) else None
        is_for_all = code in _OF_ITS_PROXY or wait is not None
        return Answer(Attempt.Outcome.TEMPORARY, said, code, retry_after=wait, is_for_all=is_for_all)
    return Answer(Attempt.Outcome.PERMANENT, said, code, blames_address=code == _GONE)


def _known() -> str:
    names = list(Endpoint.objects.order_by("name").values_list("name", flat=True)[: LISTED + 1])
    if not names:
        return "there is none yet, and manage.py webhooks add, or the admin, makes one"
    return f"there are {', '.join(names[:LISTED])}{' and others' if len(names) > LISTED else ''}"
