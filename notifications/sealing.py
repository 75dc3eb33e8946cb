"""Secret values, such as a password-reset link: sealed from the call until the message is sent, and shown nowhere."""

import base64
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder

from routing.errors import PermanentError

MASK = "••••••"
SHORTEST = 3
"""A shorter text stands in too many words to be looked for in what a server says."""


class Mistake(Exception):
    """An exception of whatever kind, told without the secret values that its words may quote."""


class Unreadable(PermanentError):
    """Sealed with a SECRET_KEY that is not in use any more."""


def split(values: Mapping[str, Any], secret: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values with what is secret masked, and what is secret."""
    hidden = {name: value for name, value in values.items() if name in secret}
    return {name: MASK if name in hidden else value for name, value in values.items()}, hidden


def seal(values: Mapping[str, Any]) -> str:
    """Empty for nothing."""
    if not values:
        return ""
    return _fernet().encrypt(json.dumps(values, cls=DjangoJSONEncoder).encode()).decode()


def unseal(sealed: str) -> dict[str, Any]:
    """Raises Unreadable."""
    if not sealed:
        return {}
    try:
        found: dict[str, Any] = json.loads(_fernet().decrypt(sealed.encode()))
    except InvalidToken:
        raise Unreadable(
            "Its secret values were sealed with another SECRET_KEY. Put that one into SECRET_KEY_FALLBACKS, and replay."
        ) from None
    return found


def without(text: str, values: Mapping[str, Any]) -> str:
    """The text, in which secret values are masked: mail servers quote what they refuse, links above all."""
    for secret in sorted(set(_texts(values)), key=len, reverse=True):
        for written in _spellings(secret):
            text = text.replace(written, MASK)
    return text


def told_without(error: Exception, values: Mapping[str, Any]) -> Exception:
    """The error, or where secret values were at hand one that says the same at the same place, with them masked.

    Not the same object, since its arguments, its causes and its notes are stored and logged, too.
    """
    if not values:
        return error
    words = ", because of ".join(f"{type(one).__name__}: {one}" for one in _chain(error))
    return Mistake(without(words, values)).with_traceback(error.__traceback__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        yield following
        seen.add(id(following))
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _spellings(secret: str) -> set[str]:
    """As it may be quoted: in a page, in a link, by repr() and in JSON."""
    in_code = {repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    return {secret, escape(secret), quote(secret), quote(secret, safe=""), *in_code}


def _texts(value: Any) -> Iterator[str]:
    match value:
        case Mapping():
            yield from _texts(list(value.values()))
        case list() | tuple():
            for item in value:
                yield from _texts(item)
        case bool() | None:
            return
        case _ if len(text := str(value)) >= SHORTEST:
            yield text


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(_key(secret)) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _key(secret: str | bytes) -> bytes:
    data = secret if isinstance(secret, bytes) else secret.encode()
    return base64.urlsafe_b64encode(hashlib.blake2b(data, digest_size=32, person=b"notifications").digest())
