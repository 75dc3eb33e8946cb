"""E-mail addresses as people write them, and as SMTP takes them."""

import re
import unicodedata
from dataclasses import dataclass
from email.utils import formataddr, getaddresses
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

MAX_WRITTEN = 400
"""With the name."""
MAX_ADDRESS, MAX_LOCAL = 254, 64
"""RFC 5321, 4.5.3.1, and its erratum 1690."""

_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Python, as IDNA had it in 2003, makes another domain of them than browsers and registries do today: straße.example
# would become strasse.example, which may be somebody else's.
_AMBIGUOUS = frozenset("ßς\u200c\u200d")


class InvalidAddress(ValueError):
    """A text is no e-mail address; the message tells why."""


_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_WORD = r"[^\W_]+(?:['\u2019.-][^\W_]+)*\.?"
_PLAIN = re.compile(
    rf"""
    (?:(?P<name>{_WORD}(?:[ ]{_WORD})*)[ ]<)?
    (?P<address>(?=[^@]{{1,{MAX_LOCAL}}}@)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:{_LABEL}\.){{1,3}}[A-Za-z]{{2,63}})
    (?(name)>)\Z
    """,
    re.VERBOSE,
)
"""What nearly all look like; to know them at once saves nine tenths of the time."""
_PLAIN_LENGTH = MAX_ADDRESS


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
    if len(text) > MAX_WRITTEN:
        raise InvalidAddress(f"{text[:40]!r}… is longer than {MAX_WRITTEN} characters, with its name")
    found = getaddresses([text])
    if len(found) != 1 or any(unicodedata.category(letter) in _CONTROLS for letter in text):
        raise InvalidAddress(f"{text!r} is no single e-mail address, such as name@example.org")
    name, address = found[0]
    if address not in text:
        # Python reads past blanks and notes: ann@exa mple.org would be Ann at another place.
        raise InvalidAddress(f"{text!r} is no e-mail address, such as name@example.org")
    return Mailbox(_checked(address, written=text), name)


def _checked(address: str, *, written: str) -> str:
    local, _, domain = address.rpartition("@")
    if local and not local.isascii():
        raise InvalidAddress(
            f"{written!r} has letters before the @ that mail servers do not agree on; use its ASCII form"
        )
    if _AMBIGUOUS.intersection(domain):
        raise InvalidAddress(f"{written!r} has a domain that is not the same everywhere; use its ASCII form, xn--…")
    try:
        validate_email(address)
        found = f"{local}@{domain.encode('idna').decode()}"
    except (ValidationError, UnicodeError):
        raise InvalidAddress(f"{written!r} is no e-mail address, such as name@example.org") from None
    if len(local) > MAX_LOCAL or len(found) > MAX_ADDRESS:
        raise InvalidAddress(
            f"{written!r} is too long for mail servers: {MAX_LOCAL} characters before the @, {MAX_ADDRESS} in all"
        )
    return found
