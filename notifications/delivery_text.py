"""One delivery, for the terminal and for programs."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.utils import timezone

from notifications import reproducing
from notifications.delivery_words import DeliveryRow, answer
from notifications.tables import Attempt


def as_text(seen: DeliveryRow) -> str:
    row, attempts = seen.row, _attempts(seen)
    verdict, made = answer(seen, attempts[-1] if attempts else None), reproducing.reproduce(seen.row)
    facts = "\n".join(f"{name:<13} {value}" for name, value in _facts(seen) if value)
    parts = [f"Delivery {row.pk}: {row.address}", "\n".join([verdict.sentence, *verdict.details]), facts]
    if attempts:
        parts.append("Attempts\n" + "\n".join(map(_line, attempts)))
    if made.content:
        headers = "\n".join(f"  {name}: {value}" for name, value in reproducing.headers(row, made.content))
        text = "\n".join(f"  {line}".rstrip() for line in reproducing.text(row, made.content).splitlines())
        parts.append(f"The message\n{headers}\n\n{text}")
    else:
        parts.append(f"Its message cannot be shown. {made.problem}")
    return "\n\n".join(parts)


def as_json(seen: DeliveryRow) -> dict[str, Any]:
    attempts, made = _attempts(seen), reproducing.reproduce(seen.row)
    message: dict[str, Any] = {"is_identical": made.is_identical, "problem": made.problem or None}
    if made.content:
        headers = dict(reproducing.headers(seen.row, made.content))
        message |= {"headers": headers, "text": reproducing.text(seen.row, made.content), "html": made.content.html}
    sentence = answer(seen, attempts[-1] if attempts else None).sentence
    return {**summary(seen), "sentence": sentence, "tries": [_document(one) for one in attempts], "message": message}


def summary(seen: DeliveryRow) -> dict[str, Any]:
    row, notification = seen.row, seen.row.notification
    return {
        "id": row.pk,
        "to": row.address,
        "state": row.state,
        "undecided": seen.is_undecided,
        "reason": row.reason,
        "answer": row.answer,
        "attempts": row.attempts_made,
        "notification": str(row.notification_id),
        "key": notification.key,
        "template": str(notification.template) if notification.template else None,
        "category": notification.category,
        "lane": notification.lane,
        "channel": row.channel,
        "message_id": row.message_id,
        "task_id": row.task_id,
        "created_at": _iso(row.created_at),
        "finished_at": _iso(row.finished_at),
    }


def _facts(seen: DeliveryRow) -> Iterator[tuple[str, str]]:
    row, notification = seen.row, seen.row.notification
    yield "State", str(seen.state.word)
    yield "Notification", f"{notification} ({notification.pk})"
    yield "Key", notification.key or ""
    yield "Category", notification.category
    yield "Lane", notification.lane
    yield "Message-ID", row.message_id
    yield "Task", row.task_id
    yield "Asked for", _local(row.created_at)
    yield "To be sent at", _local(notification.send_at)
    yield "Sent again at", _local(row.resent_at)


def _attempts(seen: DeliveryRow) -> list[Attempt]:
    return list(seen.row.attempts.order_by("number"))


def _line(one: Attempt) -> str:
    took = f" in {(one.ended_at - one.started_at).total_seconds():.1f} s" if one.ended_at else ""
    outcome = one.get_outcome_display() or "goes on, or its worker died"
    said = f": {' '.join(one.answer.split())}" if one.answer else ""
    return f"  {_local(one.started_at)}  {outcome}{took}, by way of {one.host}{said}"


def _document(one: Attempt) -> dict[str, Any]:
    names = ("number", "host", "outcome", "code", "answer", "task_id", "worker")
    times = {"started_at": _iso(one.started_at), "ended_at": _iso(one.ended_at)}
    return {**{name: getattr(one, name) for name in names}, **times}


def _local(moment: datetime | None) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}" if moment else ""


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
