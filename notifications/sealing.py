"""Secret values, such as a password-reset link: sealed from the call until the message is sent, and shown nowhere."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from routing import sealing
from routing.errors import PermanentError
from routing.masking import MASK, Mistake, told_without, without

__all__ = ["MASK", "Mistake", "Unreadable", "seal", "split", "told_without", "unseal", "without"]

PURPOSE = "notifications"


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
    return sealing.seal(json.dumps(values, cls=DjangoJSONEncoder).encode(), purpose=PURPOSE)


def unseal(sealed: str) -> dict[str, Any]:
    """Raises Unreadable."""
    if not sealed:
        return {}
    try:
        found: dict[str, Any] = json.loads(sealing.unseal(sealed, purpose=PURPOSE))
    except sealing.SealedOtherwise:
        raise Unreadable(
            "Its secret values were sealed with another SECRET_KEY. Put that one into SECRET_KEY_FALLBACKS, and replay."
        ) from None
    return found
