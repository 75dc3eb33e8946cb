"""``Idempotency-Key``: a call made again with the same key is answered as the first one was, and nothing is sent twice.

The header is that of the IETF's draft-ietf-httpapi-idempotency-key-header; its quotation marks may be left out.
"""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from django.utils.crypto import salted_hmac
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from notifications.given import Recipient
from routing.console.tokens import ApiToken

HEADER = "Idempotency-Key"
MAX_KEY = 100
# Visible ASCII; no comma, by which servers join a header that comes twice.
_PART = rf"[!#-+\--\[\]-~]{{1,{MAX_KEY}}}"
PATTERN = rf'^("{_PART}"|{_PART})$'


def _bare(value: str | None) -> str | None:
    if value is None:
        return None
    if not re.fullmatch(PATTERN[1:-1], value):
        raise PydanticCustomError(
            "key",
            "must be 1 to {most} visible ASCII characters, without comma, backslash and quotation mark, and sent once; "
            "a random UUID is a good one.",
            {"most": MAX_KEY},
        )
    return value.strip('"')


Key = Annotated[
    str | None, AfterValidator(_bare), WithJsonSchema({"type": "string", "pattern": PATTERN, "maxLength": MAX_KEY + 2})
]


def of_token(token: ApiToken, key: str | None) -> str | None:
    """The notification's key: two programs may use the same one."""
    return None if key is None else f"api:{token.pk}:{key}"


def digest(recipients: Sequence[Recipient]) -> str:
    """The same for the same recipients, and secret values among theirs cannot be guessed from it."""
    # Who names no language is as the release before knew them.
    given: Any = [[one.to, one.context, *filter(None, [one.language])] for one in recipients]
    return salted_hmac("notifications.recipients", json.dumps(given, sort_keys=True), algorithm="sha256").hexdigest()
