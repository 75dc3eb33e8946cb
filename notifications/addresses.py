"""E-mail addresses as people write them, and as SMTP takes them."""

import re
from dataclasses import dataclass
from email.utils import formataddr, getaddresses
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import validate_email


class InvalidAddress(ValueError):
    """A text is no e-mail address; the message tells why."""


_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN = re.compile(
    rf"""
    (?:(?P<name>[^\W_]+(?:[ ][^\W_]+)*)[ ]<)?
    (?P<address>(?=[^@]{{1,64}}@)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:{_LABEL}\.){{1,3}}[A-Za-z]{{2,63}})
    (?(name)>)\Z
    """,
    re.VERBOSE,
)
"""What nearly all look like; to know them at once saves nine tenths of the time."""
_PLAIN_LENGTH = 254


@dataclass(frozen=True)
class Mailbox:
    """An address whose domain is in the ASCII form that every server takes, with the name it was written with."""

    address: str
    name: str = ""

    def __str__(self) -> str:
        """As in a message's header, in ASCII."""
        return formataddr((self.name, self.address))

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@lru_cache(maxsize=2048)
def parse(text: str) -> Mailbox:
    """Read ``ann@example.org`` or ``Ann Example <ann@example.org>``. Raises InvalidAddress."""
    if len(text) <= _PLAIN_LENGTH and (plain := _PLAIN.match(text)):
        return Mailbox(plain["address"], plain["name"] or "")
    return _parsed(text)


def _parsed(text: str) -> Mailbox:
    if not text.strip():
        raise InvalidAddress("the address is empty")
    found = getaddresses([text])
    if len(found) != 1 or not text.isprintable():
        raise InvalidAddress(f"{text!r} is no single e-mail address, such as name@example.org")
    name, address = found[0]
    return Mailbox(_checked(address, written=text), name)


def _checked(address: str, *, written: str) -> str:
    local, _, domain = address.rpartition("@")
    if local and not local.isascii():
        raise InvalidAddress(
            f"{written!r} has letters before the @ that mail servers do not agree on; use its ASCII form"
        )
    try:
        validate_email(address)
        return f"{local}@{domain.encode('idna').decode()}"
    except (ValidationError, UnicodeError):
        raise InvalidAddress(f"{written!r} is no e-mail address, such as name@example.org") from None
