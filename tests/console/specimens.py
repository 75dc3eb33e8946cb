"""Result rows of every kind, as the pipeline writes them, for tests and for the pictures in the README."""

import json
import random
import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from celery import states
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.ledger import pulse
from routing.ledger.pulse_tables import QueueHour
from routing.ledger.tables import DeadLetter, Message, Outbox, Process, Tally
from tests import stored_results

BULK, URGENT, DEFAULT = "notifications.bulk", "notifications.urgent", "notifications"

TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/taskyard/.venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
                 ^^^^^^^^^^^^^^^^^^^^
  File "/srv/taskyard/notifications/tasks.py", line 18, in send_email
    services.send_email(subject=subject, text=text, html=html, recipients=recipients)
  File "/srv/taskyard/notifications/services.py", line 41, in send_email
    raise PermanentError(f"The mail server refuses {', '.join(refused)}: {words}") from error
routing.errors.PermanentError: The mail server refuses ada@example.org: 550 5.1.1 No such user here
"""

REFUSED = {
    "exc_type": "PermanentError",
    "exc_message": ["The mail server refuses ada@example.org: 550 5.1.1 No such user here"],
    "exc_module": "routing.errors",
}
BUSY = {
    "exc_type": "TransientError",
    "exc_message": ["The mail server asks to come back: 421 4.7.0 Too many connections"],
    "exc_module": "routing.errors",
}


def result(
    name: str = "notifications.send_email",
    *,
    status: str = states.SUCCESS,
    queue: str = DEFAULT,
    enqueued: timedelta | datetime = timedelta(minutes=1),
    waited: timedelta | None = timedelta(milliseconds=40),
    ran: timedelta = timedelta(milliseconds=310),
    outcome: Any = None,
    kwargs: Any = None,
    meta: dict[str, Any] | None = None,
    **fields: Any,
) -> TaskResult:
    """One row; ``enqueued`` is its age, or the moment itself. Without ``waited`` it never started."""
    created = enqueued if isinstance(enqueued, datetime) else timezone.now() - enqueued
    started = created + waited if waited is not None and status != states.PENDING else None
    row = TaskResult.objects.create(
        task_id=fields.pop("task_id", None) or str(uuid.uuid4()),
        task_name=name,
        status=status,
        worker=f"{queue}@app-1" if started else None,
        task_args=fields.pop("task_args", "[]"),
        task_kwargs=json.dumps(kwargs if kwargs is not None else {}),
        result=json.dumps(outcome),
        meta=json.dumps({"queue": queue, "root_id": None, "parent_id": None, **(meta or {})}),
        content_type="application/json",
        content_encoding="utf-8",
        **fields,
    )
    # create() would have the current time in both.
    TaskResult.objects.filter(pk=row.pk).update(
        date_created=created, date_started=started, date_done=(started or created) + ran
    )
    row.refresh_from_db()
    return row


def beat(*, seconds_ago: float = 2, pid: int = 412) -> Process:
    seen = timezone.now() - timedelta(seconds=seconds_ago)
    return Process.objects.create(role=Process.Role.BEAT, host="app-1", pid=pid, beat_at=seen)


def relay(*, seconds_ago: float = 2, trouble: str = "") -> Process:
    seen = timezone.now() - timedelta(seconds=seconds_ago)
    return Process.objects.create(role=Process.Role.RELAY, host="app-1", pid=401, beat_at=seen, trouble=trouble)


def in_flight(name: str = "notifications.send_email", *, enqueued: timedelta = timedelta(0), **fields: Any) -> Message:
    """A task without an outcome yet, enqueued so long ago."""
    return stored_results.in_flight(name, created_at=timezone.now() - enqueued, **fields)


def worker(name: str = "reporting@app-1") -> Process:
    return Process.objects.create(role=Process.Role.WORKER, host="app-1", pid=977, name=name)


def a_busy_day() -> dict[str, TaskResult]:
    """A few dozen results, of every state; those that are worth a closer look by name."""
    _newsletter()
    root = str(uuid.uuid4())
    return {
        "clean-up": _clean_up(),
        "report": _report(root),
        "refused": _refused(),
        "revoked": _revoked(),
    }


def a_busy_hour() -> dict[str, Message]:
    """Tasks in flight, in every place where one can be, and entered in the books."""
    hour = {
        "retrying": _retrying(),
        "running": _running(),
        "waiting": _waiting(),
        "unpublished": _unpublished(),
        "scheduled": _scheduled(),
    }
    for domain, count in Counter(Message.objects.values_list("domain", flat=True)).items():
        Tally.objects.create(domain=domain, accepted=count)
    return hour


def a_day_of_hours() -> None:
    """As relays saw the queues, each hour a little fuller than the one before, with a rush in the middle."""
    for place, hour in enumerate(pulse.hours(timezone.now())):
        rush = 900 * (place in (13, 14))
        for queue in (DEFAULT, URGENT, BULK, "reporting", "maintenance"):
            waiting = place * 3 + rush if queue == BULK else place % 4
            QueueHour.objects.create(
                hour=hour, queue=queue, waiting=waiting, wait=waiting / 7, running=min(waiting, 1), workers=1
            )


def a_day_of_results() -> None:
    """Each hour a few, more of them at noon of a day that is just over; all of them counted by the caller."""
    chance = random.Random(7)  # noqa: S311
    tasks = {
        BULK: ("notifications.deliver", 9),
        URGENT: ("notifications.deliver", 5),
        DEFAULT: ("notifications.send_email", 7),
        "reporting": ("reporting.weekly", 1),
        "maintenance": ("maintenance.roll_up", 3),
    }
    for place, hour in enumerate(pulse.hours(timezone.now())[:-1]):
        for queue, (task, usual) in tasks.items():
            for _ in range(usual + chance.randrange(3) + usual * (place in (13, 14))):
                result(
                    task,
                    queue=queue,
                    enqueued=hour + timedelta(seconds=chance.randrange(3500)),
                    waited=timedelta(milliseconds=chance.lognormvariate(5, 1)),
                    ran=timedelta(milliseconds=chance.lognormvariate(6, 0.7)),
                )


def workers() -> None:
    for place, queue in enumerate((DEFAULT, URGENT, BULK, "reporting", "maintenance")):
        Process.objects.create(
            role=Process.Role.WORKER,
            host="app-1",
            pid=970 + place,
            name=f"{queue}@app-1",
            version="0.1.0",
            queues=json.dumps([queue]),
        )


def _mail(to: str, subject: str) -> dict[str, Any]:
    text = f"Dear {to.partition('@')[0].capitalize()},\n\n…"
    return {"subject": subject, "text": text, "html": None, "recipients": [to]}


def _newsletter() -> None:
    names = ("grace", "alan", "edsger", "barbara", "donald", "tony", "margaret", "niklaus", "frances", "john")
    for number, name in enumerate(names * 4):
        urgent = number % 7 == 3
        result(
            queue=URGENT if urgent else BULK,
            enqueued=timedelta(minutes=3, seconds=11 * number),
            waited=timedelta(milliseconds=38 + 900 * (number % 10) * (not urgent)),
            ran=timedelta(milliseconds=180 + 37 * (number % 9)),
            outcome={"sent": 1},
            kwargs=_mail(f"{name}@example.org", "Your new password" if urgent else "News of November"),
            meta={"attempt": 1, "runs": 1},
        )


def _clean_up() -> TaskResult:
    return result(
        "maintenance.cleanup",
        queue="maintenance",
        enqueued=timedelta(hours=7, minutes=12),
        ran=timedelta(seconds=4, milliseconds=812),
        outcome={"results": 1841, "sessions": 12, "cache": 0},
        periodic_task_name="clean-up",
        meta={"attempt": 1, "runs": 1},
    )


def _report(root: str) -> TaskResult:
    mails = [str(uuid.uuid4()) for _ in range(2)]
    row = result(
        "reporting.weekly",
        task_id=root,
        queue="reporting",
        enqueued=timedelta(minutes=12),
        ran=timedelta(seconds=2, milliseconds=240),
        outcome={"week": "2026-W46", "tasks": 9, "recipients": ["ops@example.org", "cto@example.org"]},
        kwargs={"week": "2026-W46"},
        periodic_task_name="weekly-report",
        meta={"attempt": 1, "runs": 1, "root_id": root, "children": [[[mail, None], None] for mail in mails]},
    )
    for mail, to in zip(mails, ("ops@example.org", "cto@example.org"), strict=True):
        result(
            task_id=mail,
            enqueued=timedelta(minutes=11, seconds=57),
            outcome={"sent": 1},
            kwargs=_mail(to, "The week in tasks: 2026-W46"),
            meta={"attempt": 1, "runs": 1, "root_id": root, "parent_id": root},
        )
    return row


def _refused() -> TaskResult:
    return result(
        status=states.FAILURE,
        queue=BULK,
        enqueued=timedelta(minutes=2, seconds=30),
        waited=timedelta(seconds=12, milliseconds=400),
        ran=timedelta(milliseconds=655),
        outcome=REFUSED,
        traceback=TRACEBACK,
        kwargs=_mail("ada@example.org", "News of November"),
        meta={"attempt": 1, "runs": 1},
    )


def _revoked() -> TaskResult:
    return result(
        status=states.REVOKED,
        queue=BULK,
        enqueued=timedelta(minutes=2),
        waited=None,
        ran=timedelta(seconds=30),
        outcome={"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"},
        kwargs=_mail("ken@example.org", "Ends tonight"),
        meta={"attempt": 1},
    )


def _retrying() -> Message:
    due_at = timezone.now() + timedelta(seconds=40)
    row = in_flight(
        enqueued=timedelta(seconds=95),
        state=states.RETRY,
        attempt=2,
        epoch=2,
        due_at=due_at,
        error=f"TransientError: {BUSY['exc_message'][0]}",
        kwargs=_mail("linus@example.org", "Your invoice"),
    )
    Outbox.objects.create(message_id=row.pk, epoch=2, queue=row.queue, due_at=due_at)
    return row


def _running() -> Message:
    return in_flight(
        "reporting.weekly",
        enqueued=timedelta(seconds=14),
        state=states.STARTED,
        owner=worker().pk,
        pid=983,
        runs=1,
        started_at=timezone.now() - timedelta(seconds=13.9),
        kwargs={"week": "2026-W45"},
    )


def _waiting() -> Message:
    for age in (9, 7, 6):
        in_flight(queue=BULK, enqueued=timedelta(seconds=age), kwargs=_mail("a@example.org", "…"))
    return in_flight(queue=BULK, enqueued=timedelta(seconds=4), kwargs=_mail("radia@example.org", "News of November"))


def _unpublished() -> Message:
    row = in_flight(queue=URGENT, enqueued=timedelta(seconds=31), kwargs=_mail("anita@example.org", "Your password"))
    Outbox.objects.create(
        message_id=row.pk,
        epoch=1,
        queue=URGENT,
        due_at=timezone.now() + timedelta(seconds=4),
        failures=3,
        reason="RabbitMQ refused it: the queue is full",
    )
    return row


def _scheduled() -> Message:
    due_at = timezone.now() + timedelta(hours=9)
    row = in_flight(enqueued=timedelta(minutes=2), due_at=due_at, kwargs=_mail("ken@example.org", "Reminder"))
    Outbox.objects.create(message_id=row.pk, epoch=1, queue=row.queue, due_at=due_at)
    return row


def dead_letter(row: TaskResult) -> DeadLetter:
    return DeadLetter.objects.create(
        task_id=row.task_id,
        task=row.task_name,
        domain="notifications",
        queue=BULK,
        headers="{}",
        body="[[], {}, {}]",
        reason=DeadLetter.Reason.FAILED,
        error=f"PermanentError: {REFUSED['exc_message'][0]}",
        traceback=TRACEBACK,
    )


def unreadable_letter() -> DeadLetter:
    """As a relay takes it out of a dead-letter queue."""
    died = {"event": "dead-lettered", "queue": BULK, "reason": "rejected", "count": 1}
    at = (timezone.now() - timedelta(minutes=4)).isoformat(timespec="seconds")
    return DeadLetter.objects.create(
        task_id="",
        task="",
        domain="notifications",
        queue=BULK,
        headers=json.dumps({"tenant": {"$bytes": "/g=="}, "sent": {"$timestamp": "2026-11-26T20:00:00Z"}}),
        properties=json.dumps({"content_type": "application/json"}),
        body="",
        raw=b"\xff\xfe{not json" + bytes(range(120)),
        reason=DeadLetter.Reason.UNDECODABLE,
        error="Its body cannot be read as application/json: 'utf-8' codec can't decode byte 0xff in position 0",
        source="notifications.dead",
        fingerprint="4a1f" * 8,
        history=json.dumps([{"at": at, **died}, {"at": at, "event": "collected", "from": "notifications.dead"}]),
    )
