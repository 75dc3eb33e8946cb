"""What people do with the schedule: look at it, pause an entry and go on with it, and run one now."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext as _

from routing import faults
from routing.ledger import database, slots
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.schedule.definition import ON_TIME, Definition, Unknown, from_text
from routing.schedule.firing import fire
from routing.schedule.timing import next_due

LATE_AFTER = ON_TIME
"""What is decided later than this, or not yet, is late."""


class UnknownEntry(LookupError):
    def __init__(self, name: str) -> None:
        close = get_close_matches(name, slots.entries().filter(removed_at=None).values_list("name", flat=True), n=1)
        hint = (
            _("did you mean %(name)s?") % {"name": repr(close[0])}
            if close
            else _("beat registers those of CELERY_BEAT_SCHEDULE as it starts.")
        )
        told = _("There is no schedule entry %(name)s: %(hint)s")
        super().__init__(told % {"name": repr(name), "hint": hint})


class NotRunnable(RuntimeError):
    """An entry that has left the code, or that is broken in it."""


class AlreadyRun(RuntimeError):
    """Asked for a second time: the first has run it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An entry, and what comes next. ``next_due`` is in the past while it is due and no beat has come to it.

    Without a definition, it is removed, broken (``entry.trouble``), or of a release that this one cannot read.
    """

    entry: ScheduleEntry
    definition: Definition | None
    next_due: datetime | None
    late_by: timedelta
    """Zero, unless its next due time is over for more than a minute."""

    @property
    def is_paused(self) -> bool:
        return self.entry.paused_at is not None


def plans(*, removed: bool = False) -> list[Plan]:
    """Each entry by name; with ``removed``, those that left the code, too."""
    now = database.now()
    rows = slots.entries().order_by("name")
    return [_plan(entry, now) for entry in (rows if removed else rows.filter(removed_at=None))]


def plan(name: str) -> Plan:
    """Raises UnknownEntry."""
    return _plan(_entry(name), database.now())


def last_slots(name: str = "", *, limit: int = 50) -> "QuerySet[ScheduleSlot]":
    """What became of the last due times, newest first; of one entry, or of all."""
    rows = slots.slots().order_by("-due_at", "-id")
    return (rows.filter(entry=name) if name else rows)[:limit]


def last_slot_of_each() -> dict[str, ScheduleSlot]:
    """By entry, those that have one."""
    newest = slots.slots().filter(entry=OuterRef("name")).order_by("-due_at", "-id").values("pk")[:1]
    keys = slots.entries().annotate(newest=Subquery(newest)).values_list("newest", flat=True)
    return {slot.entry: slot for slot in slots.slots().filter(pk__in=[key for key in keys if key])}


def unwell(*, within: timedelta) -> "QuerySet[ScheduleSlot]":
    """Fired more than a minute late, or missed, and due in that time; not what people paused, or ran by hand."""
    rows = slots.slots().filter(due_at__gte=Now() - within, asked_by="").exclude(missed=ScheduleSlot.Missed.PAUSED)
    return rows.filter(~Q(missed="") | Q(decided_at__gt=F("due_at") + LATE_AFTER)).order_by("-due_at")


def overdue() -> Iterator[Plan]:
    """Those that are due for more than a minute, and no beat has come to them."""
    return (plan for plan in plans() if plan.late_by and not plan.is_paused)


def pause(name: str, *, by: str, reason: str) -> bool:
    """Nothing of it is fired any more, also what is due and not yet decided. False if it is paused already."""
    pausing = {"paused_at": Now(), "paused_by": by, "pause_reason": reason, "resumed_at": None, "resumed_by": ""}
    return bool(slots.entries().filter(pk=_entry(name).name, paused_at=None).update(**pausing))


def resume(name: str, *, by: str) -> bool:
    """Go on with what is due from now on. False if it is not paused.

    A beat records what was due meanwhile as missed, also where none ran.
    """
    resuming = {"paused_at": None, "resumed_at": Now(), "resumed_by": by}
    return bool(slots.entries().filter(pk=_entry(name).name, paused_at__isnull=False).update(**resuming))


def run_now(name: str, *, by: str, asked_at: datetime | None = None) -> str:
    """Enqueue its task once more, also of a paused entry; what is due comes as before. The task's id.

    ``asked_at`` names the wish, however often it arrives: the second time raises AlreadyRun. Raises UnknownEntry,
    NotRunnable, and what ``apply_async`` raises.
    """
    # A web process has perhaps not enqueued anything yet.
    autodiscover_modules("tasks")
    with slots.transaction():
        entry = slots.hold(_entry(name).name, wait=True)
        if entry is None or not entry.definition or entry.removed_at:
            raise NotRunnable(_("%(name)s cannot be run: %(why)s") % {"name": name, "why": _obstacle(entry)})
        at = _take(name, asked_at, by=by)
        faults.point("schedule.run.taken")
        task_id = fire(name, from_text(entry.definition), at)
        slots.fired(name, at, task_id)
        faults.point("schedule.run.fired")
    faults.point("schedule.run.committed")
    return task_id


def _take(name: str, asked_at: datetime | None, *, by: str) -> datetime:
    now = database.now()
    at = asked_at or now
    while not slots.take(name, {at: ""}, at=now, by=by):
        if asked_at:
            done = slots.slots().get(entry=name, due_at=at)
            told = _("%(name)s has been run for this already, as %(id)s.")
            raise AlreadyRun(told % {"name": name, "id": done.task_id})
        # Due in this very microsecond.
        at += timedelta(microseconds=1)
    return at


def _obstacle(entry: ScheduleEntry | None) -> str:
    if entry is None or entry.removed_at:
        return _("it is no longer in CELERY_BEAT_SCHEDULE.")
    return entry.trouble


def _entry(name: str) -> ScheduleEntry:
    entry = slots.entries().filter(pk=name).first()
    if entry is None:
        raise UnknownEntry(name)
    return entry


def _plan(entry: ScheduleEntry, now: datetime) -> Plan:
    if not entry.definition or entry.removed_at:
        return Plan(entry, None, None, timedelta())
    try:
        definition = from_text(entry.definition)
    except Unknown:
        # A later release wrote it; its own beats go by it.
        return Plan(entry, None, None, timedelta())
    # Of a paused entry, what was due in the pause is of no interest.
    after = max(entry.decided_until, now) if entry.paused_at else entry.decided_until
    due_at = next_due(definition.timing, max(after, entry.resumed_at or after), entry.anchor)
    late_by = now - due_at if due_at else timedelta()
    return Plan(entry, definition, due_at, late_by if late_by > LATE_AFTER else timedelta())
