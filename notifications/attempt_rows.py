"""What an attempt writes down: that it may take effect, and how it ended. Each is one statement on PostgreSQL.

A state and the attempt that made it are written together, or not at all.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from notifications.tables import Attempt, Delivery
from routing.ledger import database

State = Delivery.State

_COLUMNS = ("number", "host", "started_at", "ended_at", "outcome", "code", "answer", "task_id", "worker")
_INSERT = f"INSERT INTO notifications_attempt (delivery_id, {', '.join(_COLUMNS)})"
_PLACES = ", ".join(["%s"] * len(_COLUMNS))
_AGAIN = """
    ON CONFLICT (delivery_id, number) DO UPDATE
    SET ended_at = excluded.ended_at, outcome = excluded.outcome, code = excluded.code, answer = excluded.answer
"""


def begin(delivery: Delivery, row: Attempt, *, digest: str, is_repeatable: bool) -> bool:
    """From pending to sending, by this attempt. False if somebody else was first.

    Where it is repeated anyway when nobody knows whether it was taken, the commit does not wait for the disk: a crash
    of the database in these milliseconds may lose it, and it is sent again as it would have been with it.
    """
    values = {"state": State.SENDING, "attempts_made": row.number, "digest": digest}
    relaxed = ", set_config('synchronous_commit', 'off', true)" if is_repeatable and _is_alone() else ""
    before = "state = %s AND attempts_made = %s"
    return _write(delivery, row, values, before, [State.PENDING, row.number - 1], also=relaxed)


def end(delivery: Delivery, row: Attempt, values: Mapping[str, Any], *, has_begun: bool) -> bool:
    """What the attempt has made of its delivery. False if somebody else has decided over it.

    A run that had begun, and was taken for dead, still knows best, until another one has begun. So does one whose
    beginning a crash of the database has lost. Safe to call again.
    """
    before, asked = "state = %s AND attempts_made = %s", [State.PENDING, row.number - 1]
    if has_begun:
        before = f"(state IN (%s, %s) AND attempts_made = %s OR {before})"
        asked = [State.SENDING, State.PENDING, row.number, *asked]
    return _write(delivery, row, {**values, "attempts_made": row.number}, before, asked)


def note(row: Attempt) -> None:
    """What came of it is true, though it decides nothing any more."""
    mine = Attempt.objects.filter(delivery=row.delivery_id, number=row.number, task_id=row.task_id)
    mine.filter(started_at=row.started_at).update(
        ended_at=row.ended_at, outcome=row.outcome, code=row.code, answer=row.answer
    )


def has_begun(row: Attempt) -> bool:
    """Whether it is this attempt that its delivery is at."""
    mine = Attempt.objects.filter(delivery=row.delivery_id, number=row.number, task_id=row.task_id, ended_at=None)
    return mine.filter(
        started_at=row.started_at, delivery__state=State.SENDING, delivery__attempts_made=row.number
    ).exists()


def _write(
    delivery: Delivery, row: Attempt, values: Mapping[str, Any], before: str, asked: Sequence[Any], *, also: str = ""
) -> bool:
    places = ", ".join(f"{name} = %s" for name in values)
    change = f"UPDATE notifications_delivery SET {places} WHERE id = %s AND {before}"
    changes = [*map(_parameter, values.values()), delivery.pk, *asked]
    stored = [_parameter(getattr(row, name)) for name in _COLUMNS]
    if database.on_postgresql():
        sql = (
            f"WITH mine AS ({change} RETURNING id) {_INSERT} SELECT id, {_PLACES} FROM mine {_AGAIN} RETURNING id{also}"
        )
        won = bool(database.rows(sql, [*changes, *stored]))
    else:
        with database.atomic():
            won = database.execute(change, changes) == 1
            if won:
                database.execute(f"{_INSERT} VALUES (%s, {_PLACES}) {_AGAIN}", [delivery.pk, *stored])
    if won:
        for name, value in values.items():
            setattr(delivery, name, value)
    return won


def _is_alone() -> bool:
    """A caller's transaction has its own say in how it is committed."""
    return database.on_postgresql() and not database.connection().in_atomic_block


def _parameter(value: Any) -> Any:
    if isinstance(value, datetime):
        return database.parameter(value)
    # Of a choice, its value.
    return str(value) if isinstance(value, str) else value
