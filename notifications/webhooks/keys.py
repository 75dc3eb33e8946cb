"""An endpoint's secrets: sealed in its row, and both of them sign while a new one is being taken over."""

import base64
import secrets
from datetime import datetime

from notifications.webhooks.tables import Endpoint
from routing import sealing

PURPOSE = "webhooks"
PREFIX = "whsec_"
BYTES = 32


def new() -> str:
    """As Standard Webhooks writes it, which receivers are given."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()


def seal(secret: str) -> str:
    return sealing.seal(secret.encode(), purpose=PURPOSE)


def reseal(sealed: str) -> str:
    """With today's SECRET_KEY. Raises routing.sealing.SealedOtherwise."""
    return sealing.reseal(sealed, purpose=PURPOSE) if sealed else ""


def is_of_todays_key(endpoint: Endpoint) -> bool:
    held = filter(None, (endpoint.secret, endpoint.previous_secret))
    return all(sealing.is_of_todays_key(sealed, purpose=PURPOSE) for sealed in held)


def signing(endpoint: Endpoint, *, at: datetime) -> list[bytes]:
    """Those that sign at this time, the newest first. Raises routing.sealing.SealedOtherwise."""
    sealed = [endpoint.secret]
    if endpoint.previous_until is not None and at < endpoint.previous_until:
        sealed.append(endpoint.previous_secret)
    return [_bytes(sealing.unseal(one, purpose=PURPOSE).decode()) for one in sealed]


def _bytes(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX))
