"""The one place where what tasks were called with, and what they returned, is written out for people."""

import json
from contextlib import suppress
from typing import Any

from routing import sensitive
from routing.console import rights
from routing.masking import MASK


def written(stored: str | None, *, user: Any) -> str:
    """Of a payload as it is stored, what this user may have. Secret arguments are in it for nobody."""
    if not stored or not rights.sees_payloads(user):
        return MASK if stored else ""
    with suppress(ValueError, RecursionError):
        value = json.loads(stored)
        if (shown := sensitive.hidden(value)) != value:
            return json.dumps(shown)
    return stored
