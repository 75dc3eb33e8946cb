"""E-mail addresses as people write them, and as SMTP takes them."""

import unicodedata
from dataclasses import dataclass
from email.utils import formataddr, getaddresses

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


def parse(text: str) -> Mailbox:
    """Read ``ann@example.org`` or ``Ann Example <ann@example.org>``. Raises InvalidAddress."""
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
