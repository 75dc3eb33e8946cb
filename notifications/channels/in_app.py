"""The in-app channel: a message that is stored for a user of this site, who finds it when they look."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext_lazy

from notifications.addresses import InvalidAddress
from notifications.channels.shape import Address, Answer, File, Message
from notifications.inbox.tables import InAppMessage
from notifications.problems import Problem
from notifications.tables import Attempt
from routing.errors import PermanentError

HOST = "inbox"
MAX_SUBJECT, MAX_TEXT = 250, 20_000
_PREFIX = "user:"


class InAppChannel:
    name, title = "in_app", gettext_lazy("in-app")
    has_footer = takes_files = takes_values = takes_secrets = False

    def address(self, text: str) -> Address:
        user = _named(text)
        if user is None:
            raise InvalidAddress(f"{text[:60]!r} is no user of this site; give a user, or the name they sign in with")
        return Address(user.get_username(), f"{_PREFIX}{user.pk}")

    def key(self, text: str) -> str:
        return self.known(text) or text.replace("\0", "").strip()

    def known(self, text: str) -> str:
        user = _named(text)
        return f"{_PREFIX}{user.pk}" if user else ""

    def problems(
        self,
        *,
        subject: str,
        text: str,
        html: str,
        sender: str,
        reply_to: Sequence[str],
    ) -> Iterator[Problem]:
        if not subject.strip() or len(subject) > MAX_SUBJECT or "\n" in subject:
            yield Problem("subject", f"has to be one line of 1 to {MAX_SUBJECT} characters.")
        if len(text) > MAX_TEXT:
            yield Problem("text", f"is longer than {MAX_TEXT:,} characters; give a link to what is long.")
        if "\0" in subject or "\0" in text:
            yield Problem("text", "has a NUL, which no message can carry; take it out.")
        if reply_to:
            yield Problem("reply_to", "is nothing that an in-app message has; leave it out.")

    def host(self, address_key: str, *, lane: str) -> str:
        return HOST

    def hosts(self, *, lane: str) -> Collection[str]:
        return ()

    def send(self, message: Message, *, handing_over: Callable[[], Any]) -> Answer:
        """Safe to call again: a delivery has one message, and the first one stays."""
        user = get_user_model()._default_manager.filter(pk=message.address_key.removeprefix(_PREFIX)).first()
        if user is None:
            raise PermanentError(f"{message.address!r} is no user of this site any more.")
        handing_over()
        row = InAppMessage(
            user=user,
            delivery_id=message.delivery,
            category=message.category,
            subject=message.subject,
            text=message.text,
        )
        InAppMessage.objects.bulk_create([row], ignore_conflicts=True)
        return Answer(Attempt.Outcome.ACCEPTED, f"stored for {user.get_username()}")

    def headers(self, message: Message) -> Sequence[tuple[str, str]]:
        return [("To", message.address), ("Subject", message.subject)]

    def source(self, message: Message) -> File:
        said = f"{message.subject}\n\n{message.text}"
        return File(name="message.txt", content=said.encode(errors="replace"), content_type="text/plain; charset=utf-8")

    def text(self, message: Message) -> str:
        return message.text


def _named(text: str) -> Any:
    model = get_user_model()
    name = text.strip()
    if not name or "\0" in name or len(name) > 254:
        return None
    return model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
