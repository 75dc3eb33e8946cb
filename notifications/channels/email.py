"""The e-mail channel: over any of Django's e-mail backends, SMTP above all."""

import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from email.encoders import encode_base64
from email.header import decode_header, make_header
from email.mime.base import MIMEBase
from typing import Any

from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail.backends.smtp import EmailBackend
from django.utils.translation import gettext_lazy

from notifications import addresses
from notifications.addresses import InvalidAddress, Mailbox
from notifications.channels import backends, servers, smtp
from notifications.channels.shape import Address, Answer, File, Message, Unreachable
from notifications.channels.smtp import Letter
from notifications.problems import Problem

MAX_SUBJECT = 250
MAX_BYTES = 1_000_000
"""Text and HTML together, in UTF-8."""

_SHOWN = ("From", "To", "Reply-To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post")
# A subject that breaks the line would let its author write further headers.
_LINE_BREAKING = frozenset({"Cc", "Zl", "Zp"})


class EmailChannel:
    name, title = "email", gettext_lazy("e-mail")
    has_footer = takes_files = takes_secrets = True
    takes_values = False

    def address(self, text: str) -> Address:
        mailbox = addresses.parse(text)
        return Address(text.strip(), mailbox.address.casefold())

    def key(self, text: str) -> str:
        return self.address(text).key

    def known(self, text: str) -> str:
        return ""

    def problems(
        self, *, subject: str, text: str, html: str, sender: str, reply_to: Sequence[str]
    ) -> Iterator[Problem]:
        yield from _subject_problems(subject)
        yield from _body_problems(text, html)
        yield from _address_problems("from_email", [sender])
        yield from _address_problems("reply_to", reply_to)

    def host(self, address_key: str, *, lane: str) -> str:
        return servers.host(lane)

    def hosts(self, *, lane: str) -> Collection[str]:
        return (servers.host(lane),)

    def headers(self, message: Message) -> Sequence[tuple[str, str]]:
        mime: Any = composed(message).message()
        found = {name.lower(): _decoded(value) for name, value in mime.items()}
        return [(name, found[name.lower()]) for name in _SHOWN if name.lower() in found]

    def source(self, message: Message) -> File:
        mime: Any = composed(message).message()
        return File(name="message.eml", content=mime.as_bytes(linesep="\r\n"), content_type="message/rfc822")

    def text(self, message: Message) -> str:
        return message.text

    def send(self, message: Message, *, handing_over: Callable[[], Any]) -> Answer:
        sender, to = addresses.parse(message.sender), addresses.parse(message.address)
        email = _composed(message, sender, to)
        try:
            backend = servers.backend(message.lane)
        except (ImproperlyConfigured, ImportError) as error:
            # Such as a folder that is gone: what concerns all messages waits for its cure.
            raise Unreachable(f"{servers.variable(message.lane)} cannot be used: {error}") from error
        if type(backend) is EmailBackend:
            return smtp.hand_over(backend, Letter(email, sender.address, to.address), handing_over=handing_over)
        if servers.is_provider(message.lane):
            from notifications.channels import providers  # which needs django-anymail

            variable = servers.variable(message.lane)
            return providers.hand_over(backend, email, variable=variable, handing_over=handing_over)
        return backends.hand_over(backend, email, host=servers.host(message.lane), handing_over=handing_over)


def composed(message: Message) -> mail.EmailMultiAlternatives:
    """As it goes out."""
    return _composed(message, addresses.parse(message.sender), addresses.parse(message.address))


def _composed(message: Message, sender: Mailbox, to: Mailbox) -> mail.EmailMultiAlternatives:
    email = mail.EmailMultiAlternatives(
        subject=message.subject,
        body=message.text,
        from_email=str(sender),
        to=[str(to)],
        reply_to=[str(addresses.parse(address)) for address in message.reply_to],
        # Out-of-office notes do not answer a message that says so (RFC 3834).
        headers={"Message-ID": message.id, "Auto-Submitted": "auto-generated", **message.headers},
    )
    if message.html:
        email.attach_alternative(message.html, "text/html")
    for file in message.files:
        email.attach(_part(file))
    return email


def _part(file: File) -> MIMEBase:
    """Byte for byte: as text, Django would have its line ends changed on the way."""
    part = MIMEBase(*file.content_type.split("/", 1))
    part.set_payload(file.content)
    encode_base64(part)
    # Python folds what is not ASCII into RFC 2231's form, which readers of mail understand.
    name: Any = file.name if file.name.isascii() else ("utf-8", "", file.name)
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


def _decoded(value: Any) -> str:
    return str(make_header(decode_header(" ".join(str(value).split()))))


def _subject_problems(subject: str) -> Iterator[Problem]:
    if not subject.strip():
        yield Problem("subject", "is empty.")
    if len(subject) > MAX_SUBJECT:
        yield Problem("subject", f"is longer than {MAX_SUBJECT} characters.")
    if any(unicodedata.category(letter) in _LINE_BREAKING for letter in subject):
        yield Problem("subject", "has a line break or another control character; write it in one line.")
    if _is_unsendable(subject):
        yield Problem("subject", "has half of a surrogate pair, which is no character; take it out.")


def _body_problems(text: str, html: str) -> Iterator[Problem]:
    if not text.strip():
        yield Problem("text", "is empty; mail readers that show no HTML need it.")
    if _bytes(text) + _bytes(html) > MAX_BYTES:
        yield Problem("text", f"is longer, together with html, than {MAX_BYTES:,} bytes; send a link instead.")
    for field, body in (("text", text), ("html", html)):
        if _is_unsendable(body):
            yield Problem(field, "has a NUL or half of a surrogate pair, which no mail can carry; take it out.")


def _address_problems(field: str, texts: Sequence[str]) -> Iterator[Problem]:
    for text in texts:
        try:
            addresses.parse(text)
        except InvalidAddress as error:
            yield Problem(field, f"cannot be used: {error}.")


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _is_unsendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return "\0" in text
