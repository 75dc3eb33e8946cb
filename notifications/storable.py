"""What the database can keep: what it would refuse costs the one recipient who has it, not the whole batch."""

import re
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from notifications.addresses import InvalidAddress
from notifications.channels.shape import Address
from notifications.tables import Delivery, Rejection

_ADDRESS = Delivery._meta.get_field("address").max_length or 0
_KEY = Delivery._meta.get_field("address_key").max_length or 0
_SHOWN = Rejection._meta.get_field("address").max_length or 0
_REASON = 1000
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""As JSON has it: an odd number of backslashes."""
_ENCODER = DjangoJSONEncoder(ensure_ascii=False, allow_nan=False)


class UnusableValues(ValueError):
    """Values that cannot be stored; the message tells why."""


def require_address(address: Address) -> Address:
    """Raises InvalidAddress."""
    if len(address.written) > _ADDRESS or len(address.key) > _KEY:
        raise InvalidAddress(f"the address is longer than {_KEY} characters, or with its name than {_ADDRESS}")
    return address


def as_json(values: Mapping[str, Any]) -> str:
    """Raises UnusableValues."""
    if not values:
        return "{}"
    try:
        text = _ENCODER.encode(values)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        # Half of a surrogate pair is a ValueError, too.
        raise UnusableValues(f"its values cannot be stored as JSON: {error}") from None
    if "\\u0000" in text and _NUL.search(text):
        raise UnusableValues("its values have a NUL, which no message can carry; take it out")
    return text


def rejection(notification: Any, position: int, *, address: str, reason: str) -> Rejection:
    return Rejection(
        notification=notification,
        position=position,
        address=_text(address, _SHOWN),
        reason=_text(reason, _REASON),
    )


def _text(text: str, longest: int) -> str:
    text = text.encode(errors="replace").decode().replace("\0", "")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
