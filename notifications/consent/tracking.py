"""What providers tell django-anymail of bounces and complaints. Imported where URLs are: only a web process is told."""

from typing import Any

from notifications.consent import blame, feedback
from notifications.consent.feedback import Kind, Told

_KINDS = {"bounced": Kind.HARD_BOUNCE, "deferred": Kind.SOFT_BOUNCE, "complained": Kind.COMPLAINT}
_OF_THE_ADDRESS = ("invalid", "bounced")


def connect() -> bool:
    """False where django-anymail is not installed. Safe to call again."""
    try:
        from anymail.signals import tracking
    except ImportError:
        return False
    tracking.connect(take_in, dispatch_uid="notifications.consent")
    return True


def take_in(*, event: Any, esp_name: str = "", **_: Any) -> None:
    """Safe to call again: providers tell again what they got no answer for."""
    kind = _kind(event)
    if kind is None or not (event.recipient or event.message_id):
        return
    said = event.mta_response or event.description or ""
    told = Told(
        kind=kind,
        message_id=(event.metadata or {}).get("message_id") or event.message_id or "",
        address=event.recipient or "",
        detail=said,
        blames_address=_blames(event, said),
        id=event.event_id or "",
        at=event.timestamp.isoformat() if event.timestamp else "",
    )
    feedback.record(told, source=f"anymail, {esp_name}"[:200])


def _kind(event: Any) -> Kind | None:
    if event.event_type == "rejected":
        # By the provider's own list, from what it saw before.
        reasons = {"invalid": Kind.HARD_BOUNCE, "bounced": Kind.HARD_BOUNCE, "spam": Kind.COMPLAINT}
        return reasons.get(event.reject_reason)
    return _KINDS.get(event.event_type)


def _blames(event: Any, said: str) -> bool:
    """By the server's own code where the provider passes it on."""
    code = blame.enhanced(said)
    return blame.blames(code, said) if code else event.reject_reason in _OF_THE_ADDRESS
