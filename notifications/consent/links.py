"""Links for one recipient and one category: nobody can guess or alter them, or read the address out of them.

A link that was only signed would show the address to whoever it is forwarded to. So it is encrypted, in the way that
makes the same link of the same words (AES-SIV, RFC 5297): a message that is sent again is the same message.
"""

import base64
import hashlib
import json
from binascii import Error as NoBase64
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from django.conf import settings

from routing.addresses import masked

PREFIX = "notifications/"
"""Of the public pages. Written out here: to ask Django for a URL would load all pages, in each worker."""
_PURPOSE = [b"notifications.consent.links"]
_LONGEST = 1_000


class BadLink(ValueError):
    """A link that we have not made, or that was altered."""


@dataclass(frozen=True)
class Reader:
    """Whom a link belongs to, and the category of the message that it was in."""

    channel: str
    address_key: str
    category: str

    @property
    def token(self) -> str:
        words = json.dumps([self.channel, self.address_key, self.category], separators=(",", ":"))
        sealed = _cipher(settings.SECRET_KEY).encrypt(words.encode(), _PURPOSE)
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    @property
    def unsubscribe_url(self) -> str:
        return f"{settings.SITE_URL}/{PREFIX}unsubscribe/{self.token}"

    @property
    def preferences_url(self) -> str:
        return f"{settings.SITE_URL}/{PREFIX}preferences/{self.token}"

    @property
    def masked(self) -> str:
        return masked(self.address_key)


def read(token: str) -> Reader:
    """Made with SECRET_KEY or one of SECRET_KEY_FALLBACKS. Raises BadLink."""
    if len(token) > _LONGEST:
        raise BadLink
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (NoBase64, ValueError):
        raise BadLink from None
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            channel, address_key, category = json.loads(_cipher(secret).decrypt(sealed, _PURPOSE))
        except (InvalidTag, ValueError):
            continue
        return Reader(channel, address_key, category)
    raise BadLink


@lru_cache(maxsize=8)
def _cipher(secret: str | bytes) -> AESSIV:
    data = secret if isinstance(secret, bytes) else secret.encode()
    return AESSIV(hashlib.blake2b(data, digest_size=64, person=b"consent.links").digest())
