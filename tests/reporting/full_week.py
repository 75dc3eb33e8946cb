"""A week in which everything happened that the weekly report tells of, and its document."""

from datetime import timedelta

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User

from reporting.documents.document import Document
from reporting.reports import named
from reporting.weeks import Week
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import DeadLetter
from tests.reporting import fortnight
from tests.stored_results import in_flight

WEEK = Week(2026, 46)
AFTER = WEEK.ends_at + timedelta(hours=9)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def build(week: Week = WEEK, *, domains: frozenset[str] | None = None) -> Document:
    return named("weekly").build(week, now=week.ends_at + timedelta(hours=9), domains=domains)


def happen(*, results: int = 600) -> None:
    begin = WEEK.starts_at
    fortnight.store(fortnight.make(results, begin=WEEK.previous().starts_at, end=WEEK.ends_at))
    _letters()
    _slots()
    ran = Cleanup.objects.create(as_of=begin + DAY, policy="any", whole=True, started_at=begin + DAY)
    Removal.objects.create(cleanup=ran, kind="results", domain="notifications", outcome="success", count=1_204)
    ann = User.objects.create_user("ann")
    for _ in range(3):
        LogEntry.objects.log_actions(ann.pk, [DeadLetter.objects.all()[0]], CHANGE, "Replayed.", single_object=True)
    LogEntry.objects.update(action_time=begin + 2 * DAY)
    in_flight("reporting.weekly", created_at=WEEK.ends_at - DAY)


def letter(error: str, *, weeks_ago: int = 0, count: int = 1, **fields: str) -> None:
    """As settled in the week, or that many weeks before it."""
    for number in range(count):
        DeadLetter.objects.create(
            **{
                "task_id": f"{error}-{weeks_ago}-{number}", "task": "notifications.deliver", "domain": "notifications",
                "queue": "notifications", "headers": "{}", "body": "[]", "reason": "failed", "error": error,
                "dead_at": WEEK.starts_at + DAY - timedelta(weeks=weeks_ago), **fields,
            }
        )  # fmt: skip


def _letters() -> None:
    letter("SMTPServerDisconnected: Connection unexpectedly closed", count=3)
    letter("SMTPDataError: (550, b'mailbox unavailable')", count=9)
    letter("SMTPDataError: (550, b'mailbox unavailable')", weeks_ago=1, count=3)
    letter("TimeoutError: timed out", count=2)
    letter("TimeoutError: timed out", weeks_ago=3, count=1)
    letter("KeyError: 'address'", weeks_ago=1, count=4)
    DeadLetter.objects.filter(error__startswith="Timeout", dead_at__gte=WEEK.starts_at).update(
        state=DeadLetter.State.REPLAYED, decided_at=WEEK.starts_at + 2 * DAY
    )


def _slots() -> None:
    for name, task in (("clean-up", "maintenance.prune"), ("weekly report", "reporting.weekly")):
        ScheduleEntry.objects.create(
            name=name, task=task, defined_at=WEEK.starts_at, anchor=WEEK.starts_at, decided_until=WEEK.ends_at
        )
    for day in range(7):
        due_at = WEEK.starts_at + day * DAY
        late = timedelta(hours=1) if day == 2 else timedelta()
        missed = ScheduleSlot.Missed.LATE if day == 5 else ""
        ScheduleSlot.objects.create(entry="clean-up", due_at=due_at, decided_at=due_at + late, missed=missed)
    ScheduleSlot.objects.create(entry="weekly report", due_at=WEEK.starts_at, decided_at=WEEK.starts_at)
