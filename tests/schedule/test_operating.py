"""What people do with the schedule: look, pause, resume, run now."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import Message
from routing.schedule import operating
from routing.schedule.operating import NotRunnable, UnknownEntry
from tests.schedule.moved_clock import Clock, Release, entry, run, slots

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock() -> Clock:
    """The present, because people's doings have the database's own clock."""
    return Clock(timezone.now().replace(minute=0, second=0, microsecond=0))


def outcomes() -> list[str]:
    return list(slots("hourly").values())


def test_an_entry_shows_what_it_is_and_when_it_is_due(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *", timezone="Europe/Berlin"), typo=entry("61 * * * *")).start())

    hourly, typo = operating.plans()

    assert hourly.entry.timing == "0 * * * *, Europe/Berlin"
    assert hourly.definition is not None
    assert hourly.definition.task == "maintenance.cleanup"
    assert hourly.next_due == clock.now + timedelta(hours=1)
    assert not hourly.late_by
    assert (typo.next_due, typo.definition) == (None, None)
    assert "no crontab" in typo.entry.trouble


def test_what_is_removed_from_the_code_is_shown_when_asked_for(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *")).start())
    clock.advance(seconds=1)
    run(Release(clock).start())

    assert operating.plans() == []
    assert [plan.entry.name for plan in operating.plans(removed=True)] == ["hourly"]


def test_what_a_later_release_wrote_is_shown_without_its_times(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *")).start())
    ScheduleEntry.objects.update(definition='{"due": {"lunar": 1}}')

    (plan,) = operating.plans()

    assert (plan.definition, plan.next_due, plan.late_by) == (None, None, timedelta())


def test_what_no_beat_has_come_to_is_overdue(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *")).start())
    assert list(operating.overdue()) == []

    ScheduleEntry.objects.update(decided_until=clock.now - timedelta(hours=3, seconds=1))

    (late,) = operating.overdue()
    assert late.late_by >= timedelta(hours=2)
    operating.pause("hourly", by="ann", reason="")
    assert list(operating.overdue()) == []


def test_what_was_fired_late_or_missed_is_unwell(clock: Clock) -> None:
    due_at = clock.now - timedelta(hours=1)
    for minutes, missed in ((1, ""), (2, "late"), (3, "paused"), (4, "")):
        late_by = timedelta(seconds=120 if minutes == 4 else 5)
        moment = due_at + timedelta(minutes=minutes)
        ScheduleSlot.objects.create(entry="hourly", due_at=moment, decided_at=moment + late_by, missed=missed)

    found = operating.unwell(within=timedelta(hours=3))

    assert [(slot.due_at - due_at).seconds // 60 for slot in found] == [4, 2]
    assert not operating.unwell(within=timedelta(minutes=1))


def test_a_paused_entry_fires_nothing_and_records_what_was_due(clock: Clock) -> None:
    beat = Release(clock, hourly=entry("0 * * * *", missed="all")).start()
    run(beat)
    clock.advance(hours=1)

    assert operating.pause("hourly", by="ann", reason="wrong")
    assert not operating.pause("hourly", by="bob", reason="again")

    run(beat)
    assert outcomes() == ["paused"]
    assert ScheduleEntry.objects.get().paused_by == "ann"
    assert Message.objects.count() == 0


def test_what_was_due_in_the_pause_is_not_caught_up_though_no_beat_ran(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *", missed="all")).start())
    ScheduleEntry.objects.update(decided_until=clock.now - timedelta(hours=4))
    operating.pause("hourly", by="ann", reason="")

    assert operating.resume("hourly", by="ann")
    assert not operating.resume("hourly", by="ann")

    beat = Release(clock, hourly=entry("0 * * * *", missed="all")).start()
    run(beat)
    clock.advance(hours=2)
    run(beat)
    assert outcomes() == ["paused"] * 4 + ["fired"] * 2


def test_a_pause_survives_a_release_that_changes_the_entry(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *")).start())
    operating.pause("hourly", by="ann", reason="")
    beat = Release(clock, hourly=entry("30 * * * *")).start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert outcomes() == ["paused"]


def test_run_now_enqueues_the_task_and_leaves_the_schedule_as_it_is(clock: Clock) -> None:
    beat = Release(clock, hourly=entry("0 * * * *", options={"queue": "reporting"})).start()
    run(beat)
    operating.pause("hourly", by="ann", reason="")
    before = ScheduleEntry.objects.get().decided_until

    task_id = operating.run_now("hourly", by="ann")

    assert Message.objects.get().pk == task_id
    assert Message.objects.get().queue == "reporting"
    (slot,) = operating.last_slots("hourly")
    assert (slot.asked_by, slot.task_id) == ("ann", task_id)
    assert operating.last_slot_of_each() == {"hourly": slot}
    assert ScheduleEntry.objects.get().decided_until == before
    assert not operating.unwell(within=timedelta(days=1))


def test_a_run_that_is_refused_leaves_no_slot(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *", options={"headers": {"mine": "x" * 70_000}})).start())

    with pytest.raises(ValueError, match="headers"):
        operating.run_now("hourly", by="ann")

    assert not ScheduleSlot.objects.exists()


def test_what_is_removed_or_broken_cannot_be_run(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *"), typo=entry("61 * * * *")).start())
    with pytest.raises(NotRunnable, match="no crontab"):
        operating.run_now("typo", by="ann")

    ScheduleEntry.objects.filter(name="hourly").update(removed_at=Now())
    with pytest.raises(NotRunnable, match="no longer in CELERY_BEAT_SCHEDULE"):
        operating.run_now("hourly", by="ann")


def test_a_name_that_is_not_there_is_told_with_the_nearest(clock: Clock) -> None:
    run(Release(clock, hourly=entry("0 * * * *")).start())

    for verb in (operating.plan, lambda name: operating.run_now(name, by="ann")):
        with pytest.raises(UnknownEntry, match="did you mean 'hourly'"):
            verb("hourli")
