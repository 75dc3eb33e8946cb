"""The chat channel: a message for a chat room or a phone, which is known by its name, and reached by Apprise."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from django.utils.translation import gettext_lazy

from notifications.addresses import InvalidAddress
from notifications.channels.shape import Address, Answer, File, Message, Uncertain, Unreachable
from notifications.channels.webhook import LISTED, NAME, NOWHERE, read
from notifications.chat import schemes, seals
from notifications.chat.tables import ChatTarget
from notifications.problems import Problem
from notifications.tables import Attempt
from notifications.webhooks import posting
from routing.errors import PermanentError
from routing.sealing import SealedOtherwise

MAX_SUBJECT, MAX_TEXT = 250, 35_000
"""Most services take less, which is told when it is sent."""
_REDIRECTED = "Redirects are not followed: give the target the URL of where it really is."


class ChatChannel:
    name, title = "chat", gettext_lazy("chat")
    has_footer = takes_files = takes_values = False
    takes_secrets = True
    seconds = posting.SECONDS

    def address(self, text: str) -> Address:
        name = self.known(text)
        if not name:
            raise InvalidAddress(_nobody(text))
        return Address(name, name)

    def key(self, text: str) -> str:
        return text.replace("\0", "").strip().casefold()

    def known(self, text: str) -> str:
        name = self.key(text)
        return name if NAME.match(name) and ChatTarget.objects.filter(name=name).exists() else ""

    def problems(
        self,
        *,
        subject: str,
        text: str,
        html: str,
        sender: str,
        reply_to: Sequence[str],
    ) -> Iterator[Problem]:
        if len(subject) > MAX_SUBJECT or "\n" in subject:
            yield Problem("subject", f"has to be one line of up to {MAX_SUBJECT} characters.")
        if not text.strip() or len(text) > MAX_TEXT:
            yield Problem("text", f"has to have 1 to {MAX_TEXT:,} characters; give a link to what is long.")
        if reply_to:
            yield Problem("reply_to", "is nothing that a chat message has; leave it out.")

    def host(self, address_key: str, *, lane: str) -> str:
        found = ChatTarget.objects.filter(name=address_key).values_list("host", flat=True).first()
        return found or NOWHERE

    def hosts(self, *, lane: str) -> Collection[str]:
        return ()

    def send(self, message: Message, *, handing_over: Callable[[], Any]) -> Answer:
        # Loaded by whoever delivers, and by nobody else.
        from notifications.chat import composing

        said = composing.send(
            _url(message.address),
            title=message.subject,
            body=message.text,
            handing_over=handing_over,
            seconds=self.seconds,
        )
        if said.reply is None:
            raise PermanentError(f"Apprise sent nothing: {said.words or 'it does not say why.'}")
        answer = read(said.reply, redirected=_REDIRECTED)
        if answer.outcome != Attempt.Outcome.ACCEPTED or said.is_content:
            return answer
        if not said.is_whole:
            raise Uncertain(f"{answer.text} … broke off before it said whether it was taken.")
        return Answer(Attempt.Outcome.PERMANENT, f"{answer.text}: {said.words or 'which is no yes'}", answer.code)

    def headers(self, message: Message) -> Sequence[tuple[str, str]]:
        row = ChatTarget.objects.filter(name=message.address).first()
        to = schemes.shown(row.scheme, row.host) if row else NOWHERE
        return [("To", to), *([("Subject", message.subject)] if message.subject else [])]

    def source(self, message: Message) -> File:
        said = "\n\n".join(filter(None, (message.subject, message.text)))
        return File(name="message.txt", content=said.encode(errors="replace"), content_type="text/plain; charset=utf-8")

    def text(self, message: Message) -> str:
        return message.text


def _url(name: str) -> str:
    target = ChatTarget.objects.filter(name=name).first()
    if target is None:
        raise PermanentError(f"{name!r} is no chat target; {_known()}")
    try:
        return seals.url_of(target)
    except SealedOtherwise:
        # What concerns all that goes there waits for its cure.
        raise Unreachable(
            f"The URL of {name} was sealed with another SECRET_KEY. Put that one into SECRET_KEY_FALLBACKS, or give "
            f"the URL anew: manage.py chat move {name}"
        ) from None


def _nobody(text: str) -> str:
    if "://" in text:
        # Not quoted: it may be the whole URL, with its tokens.
        return "a URL is no recipient: make a chat target of it, with manage.py chat add, and write to that by its name"
    return f"{text[:60]!r} is no chat target; {_known()}"


def _known() -> str:
    names = list(ChatTarget.objects.order_by("name").values_list("name", flat=True)[: LISTED + 1])
    if not names:
        return "there is none yet, and manage.py chat add, or the admin, makes one"
    return f"there are {', '.join(names[:LISTED])}{' and others' if len(names) > LISTED else ''}"
