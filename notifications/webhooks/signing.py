"""Signatures by which a receiver knows that a webhook is ours, as Standard Webhooks has them (version v1)."""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def headers(*, event_id: str, timestamp: int, body: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """One signature for each secret: a receiver that knows one of them is content."""
    signed = b".".join([event_id.encode(), str(timestamp).encode(), body])
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
