"""Which definition of an entry was in force when, written down by the database itself while the beats run."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from tests.prove_schedule.fires import Due

MISSED = ScheduleSlot.Missed
ALLOWED: dict[str, tuple[str, ...]] = {
    "newest": (MISSED.SUPERSEDED,),
    "skipping": (MISSED.SUPERSEDED, MISSED.LATE),
    "strict": (MISSED.LATE,),
}
"""Why an entry may miss a due time: by its policy. Of the others each is to be fired."""
ON_TIME = timedelta(minutes=1)
"""What is older than this when its entry is changed or removed is recorded, and not run."""

TRIGGER = """
CREATE TABLE proof_history (
    id bigserial, name text, timing text, is_gone boolean, since timestamptz, at timestamptz DEFAULT clock_timestamp()
);
CREATE FUNCTION proof_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO proof_history (name, timing, is_gone, since)
    VALUES (NEW.name, NEW.timing, NEW.removed_at IS NOT NULL, coalesce(NEW.removed_at, NEW.decided_until));
    RETURN NEW;
END $$;
CREATE TRIGGER proof_insert AFTER INSERT ON routing_scheduleentry FOR EACH ROW EXECUTE FUNCTION proof_note();
CREATE TRIGGER proof_update AFTER UPDATE ON routing_scheduleentry FOR EACH ROW
    WHEN (OLD.timing <> NEW.timing OR OLD.removed_at IS DISTINCT FROM NEW.removed_at) EXECUTE FUNCTION proof_note();
"""


@dataclass(frozen=True)
class Period:
    """From ``since`` on, an entry was due every so many seconds; never, where that is None."""

    since: datetime
    every: timedelta | None


def note() -> None:
    with connection.cursor() as cursor:
        cursor.execute(TRIGGER)


def periods() -> dict[str, list[Period]]:
    """By entry, in order. What begins long before it was written down would hide what was due in between."""
    found: dict[str, list[Period]] = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, timing, is_gone, since, at FROM proof_history ORDER BY id")
        for name, timing, is_gone, since, at in cursor.fetchall():
            assert timedelta() <= at - since < timedelta(seconds=15), f"{name} was changed at {at}, as of {since}"
            every = None if is_gone else timedelta(seconds=float(timing.split()[1]))
            found.setdefault(name, []).append(Period(since, every))
    return found


def expected(until: datetime) -> dict[str, Due]:
    """By entry, what was due until then, worked out from the anchors alone."""
    anchors = dict(ScheduleEntry.objects.values_list("name", "anchor"))
    due: dict[str, Due] = {}
    for name, spans in periods().items():
        found: dict[datetime, tuple[str, ...]] = {}
        for span, following in zip(spans, [*spans[1:], None], strict=True):
            for moment in _moments(span, following.since if following else until, anchors[name]):
                is_old = following is not None and following.since - moment > ON_TIME
                found[moment] = ALLOWED.get(name, ()) + ((MISSED.CHANGED,) if is_old else ())
        due[name] = found
    return due


def _moments(span: Period, end: datetime, anchor: datetime) -> list[datetime]:
    if span.every is None:
        return []
    first, last = (span.since - anchor) // span.every + 1, (end - anchor) // span.every
    return [anchor + number * span.every for number in range(first, last + 1)]
