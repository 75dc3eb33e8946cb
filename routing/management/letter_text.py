"""One dead letter, for the terminal and for programs."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from routing.ledger.replay import REPLAYED_AS
from routing.ledger.tables import DeadLetter
from routing.readable import readable

__all__ = ["as_json", "as_text"]


def as_text(letter: DeadLetter) -> str:
    facts = "\n".join(f"{name:<12} {value}" for name, value in _facts(letter) if value)
    parts = [f"Dead letter {letter.pk}: {letter.task or letter.get_reason_display()}", facts]
    parts += [f"{name}\n{_indented(text)}" for name, text in _texts(letter) if text]
    return "\n\n".join(parts)


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """``body`` where the bytes are text, and always ``body_base64``."""
    names = ("task_id", "task", "domain", "queue", "source", "reason", "error", "traceback", "fingerprint", "state")
    content = letter.content
    return {
        "id": letter.pk,
        **{name: getattr(letter, name) for name in names},
        "attempt": letter.attempt,
        "runs": letter.runs,
        **{name: _iso(getattr(letter, name)) for name in ("enqueued_at", "dead_at", "decided_at")},
        "decided_by": letter.decided_by,
        REPLAYED_AS: letter.replayed_as,
        "history": json.loads(letter.history),
        "headers": json.loads(letter.headers),
        "properties": json.loads(letter.properties),
        "body": _text_of(content),
        "body_base64": base64.b64encode(content).decode(),
    }


def _facts(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    yield "State", letter.get_state_display()
    yield "Reason", letter.get_reason_display()
    yield "Error", (letter.error or "").strip().partition("\n")[0]
    yield "Task id", letter.task_id
    yield "Domain", letter.domain
    yield "Queue", letter.queue
    yield "Taken from", letter.source
    yield "Enqueued", _local(letter.enqueued_at)
    yield "Set aside", _local(letter.dead_at)
    if not letter.source:
        yield "Attempt", f"{letter.attempt}, started {letter.runs} time{'' if letter.runs == 1 else 's'}"
    yield "Fingerprint", letter.fingerprint
    yield "Replayed as", letter.replayed_as
    if letter.decided_by:
        yield "Decided by", f"{letter.decided_by}, {_local(letter.decided_at)}"


def _texts(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    yield "Traceback", (letter.traceback or "").rstrip()
    content = letter.content
    yield f"Body, {len(content):,} bytes", readable(content)
    yield "Headers", _pretty(letter.headers)
    yield "Properties", _pretty(letter.properties)
    yield "History", "\n".join(map(_event, json.loads(letter.history)))


def _event(event: dict[str, Any]) -> str:
    rest = ", ".join(f"{name} {value}" for name, value in event.items() if name not in ("at", "event") and value)
    return f"{event.get('at') or 'at some time'}  {event.get('event')}{f': {rest}' if rest else ''}"


def _pretty(text: str) -> str:
    value = json.loads(text)
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""


def _text_of(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _local(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" if moment else ""


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
