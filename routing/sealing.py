"""What may be kept but not read: encrypted with SECRET_KEY, opened with that or one of SECRET_KEY_FALLBACKS."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealedOtherwise(Exception):
    """With a key that is not at hand, or it is no seal at all."""


def seal(content: bytes, *, purpose: str) -> str:
    """What is sealed for one purpose is not opened for another."""
    return _fernet(purpose).encrypt(content).decode()


def unseal(sealed: str, *, purpose: str) -> bytes:
    """Raises SealedOtherwise."""
    try:
        return _fernet(purpose).decrypt(sealed.encode())
    except (InvalidToken, UnicodeEncodeError):
        raise SealedOtherwise from None


def reseal(sealed: str, *, purpose: str) -> str:
    """With the key that is in use now; the content and the time at which it was sealed stay. Raises SealedOtherwise."""
    try:
        return _fernet(purpose).rotate(sealed.encode()).decode()
    except (InvalidToken, UnicodeEncodeError):
        raise SealedOtherwise from None


def is_of_todays_key(sealed: str, *, purpose: str) -> bool:
    """Whether it can be opened with SECRET_KEY alone."""
    return _opens(settings.SECRET_KEY, sealed, purpose)


def key_of(sealed: str, *, purpose: str) -> str:
    """The fingerprint of the key that it is sealed with; empty where that key is not at hand."""
    return next((fingerprint(key) for key in _keys() if _opens(key, sealed, purpose)), "")


def settings_by_key() -> Mapping[str, str]:
    """Of each key that is at hand its fingerprint, today's first, and which setting it is in."""
    found: dict[str, str] = {}
    for number, key in enumerate(_keys()):
        found.setdefault(fingerprint(key), f"SECRET_KEY_FALLBACKS, no. {number}" if number else "SECRET_KEY")
    return found


def fingerprint(key: str | bytes) -> str:
    """Names a key to people, and does not tell it."""
    return hashlib.blake2b(_bytes(key), digest_size=4, person=b"fingerprint").hexdigest()


def digest(text: str, *, purpose: str) -> str:
    """The same for the same text, and nobody without the key can tell which that was."""
    return hmac.new(_key(settings.SECRET_KEY, purpose), text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def _fernet(purpose: str) -> MultiFernet:
    return _made(_keys(), purpose)


def _opens(key: str | bytes, sealed: str, purpose: str) -> bool:
    try:
        _made((key,), purpose).decrypt(sealed.encode())
    except (InvalidToken, UnicodeEncodeError):
        return False
    return True


def _keys() -> tuple[str | bytes, ...]:
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=16)
def _made(keys: tuple[str | bytes, ...], purpose: str) -> MultiFernet:
    return MultiFernet([Fernet(_key(key, purpose)) for key in keys])


def _key(secret: str | bytes, purpose: str) -> bytes:
    digest = hashlib.blake2b(_bytes(secret), digest_size=32, person=purpose.encode())
    return base64.urlsafe_b64encode(digest.digest())


def _bytes(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else key.encode()
