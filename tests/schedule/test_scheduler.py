"""The slot scheduler: each due time of an entry is fired once, or recorded as missed."""

import json
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from celery.schedules import crontab
from django.db import OperationalError, connection, transaction

from routing.ledger import slots as ledger_slots
from routing.ledger import unique
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import Message, UniqueKey
from routing.schedule import deciding
from tests.schedule.moved_clock import Clock, Release, entry, run, slots
from tests.services import DATABASE

pytestmark = pytest.mark.django_db(transaction=True)
HOURLY = crontab(minute=0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def in_flight() -> int:
    return Message.objects.filter(task="maintenance.cleanup").count()


def together(calls: Sequence[Callable[[], None]]) -> None:
    """All at the same moment, each in a thread and on a connection of its own."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], None]) -> None:
        barrier.wait()
        one()
        connection.close()

    threads = [threading.Thread(target=call, args=(one,)) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- One fire for each due time ---------------------------------------------------------------------------------------


def test_what_is_due_fires_once(clock: Clock) -> None:
    beat = Release(clock, hourly=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=1)

    for _ in range(3):
        beat.tick()

    assert slots("hourly") == {"Mon 09:00": "fired"}
    assert in_flight() == 1


def test_any_number_of_beats_fire_once(clock: Clock) -> None:
    release = Release(clock, hourly=entry(HOURLY))
    beats = [release.start() for _ in range(3)]
    for _ in range(4):
        for beat in beats:
            run(beat)
        clock.advance(hours=1)

    assert set(slots("hourly").values()) == {"fired"}
    assert len(slots("hourly")) == in_flight() == 3


def test_beats_that_decide_at_the_same_moment_fire_once(clock: Clock) -> None:
    beats = [Release(clock, hourly=entry(HOURLY)).start() for _ in range(4)]
    for beat in beats:
        run(beat)
    clock.advance(hours=1)
    together([partial(run, beat) for beat in beats])
    for beat in beats:
        run(beat)

    assert slots("hourly") == {"Mon 09:00": "fired"}
    assert in_flight() == 1


def test_a_slot_that_is_there_is_not_fired_again_whatever_the_entry_says(clock: Clock) -> None:
    beat = Release(clock, hourly=entry(HOURLY)).start()
    run(beat)
    began = ScheduleEntry.objects.get().decided_until
    clock.advance(hours=1)
    run(beat)

    ScheduleEntry.objects.update(decided_until=began)
    run(beat)

    assert in_flight() == 1
    assert ScheduleEntry.objects.get().decided_until > began


def test_slots_may_be_pruned_without_being_fired_again(clock: Clock) -> None:
    beat = Release(clock, hourly=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    ScheduleSlot.objects.all().delete()
    run(beat)

    assert in_flight() == 1


def test_a_clock_that_is_set_back_fires_nothing_twice(clock: Clock) -> None:
    beat = Release(clock, hourly=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=2, minutes=1)
    run(beat)
    clock.advance(hours=-1)
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert in_flight() == 1
    assert len(slots("hourly")) == 2


def test_a_task_tells_which_entry_and_due_time_it_is_of(clock: Clock) -> None:
    beat = Release(clock, hourly=entry(HOURLY, options={"headers": {"mine": 1}})).start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    headers = json.loads(Message.objects.get().headers)
    assert headers["periodic_task_name"] == "hourly"
    assert headers["scheduled_for"] == "2027-01-04T09:00:00+00:00"
    assert headers["celery_beat_task"] is True
    assert headers["mine"] == 1
    assert ScheduleSlot.objects.get().task_id == Message.objects.get().pk


def test_options_of_an_entry_are_kept(clock: Clock) -> None:
    options = {"queue": "reporting", "expires": timedelta(hours=2), "unique_key": "one"}
    beat = Release(clock, hourly=entry(HOURLY, options=options, missed="all")).start()
    run(beat)
    clock.advance(hours=2)
    run(beat)

    message = Message.objects.get()
    assert message.queue == "reporting"
    assert message.expires_at is not None
    assert message.expires_at - message.created_at == pytest.approx(timedelta(hours=2), abs=timedelta(seconds=5))
    assert UniqueKey.objects.get().task_id == message.pk
    assert set(ScheduleSlot.objects.values_list("task_id", flat=True)) == {message.pk}


def test_an_interval_does_not_drift_whenever_beats_start(clock: Clock) -> None:
    release = Release(clock, often=entry(timedelta(minutes=7), missed="all"))
    run(release.start())
    for minutes in (11, 8, 20, 1):
        clock.advance(minutes=minutes, seconds=13)
        run(release.start())

    assert list(slots("often")) == [f"Mon 08:{minute:02}" for minute in (7, 14, 21, 28, 35)]


def test_by_the_clock_an_interval_is_on_the_hour(clock: Clock) -> None:
    clock.advance(minutes=17)
    beat = Release(clock, often=entry(timedelta(hours=1), relative=True)).start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert slots("often") == {"Mon 09:00": "fired"}


# --- What was missed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "deadline", "expected"),
    [
        ("latest", None, ["superseded", "superseded", "superseded", "fired"]),
        ("latest", timedelta(minutes=20), ["superseded", "superseded", "superseded", "late"]),
        ("all", None, ["fired", "fired", "fired", "fired"]),
        ("all", timedelta(hours=2), ["late", "late", "fired", "fired"]),
        ("skip", None, ["superseded", "superseded", "superseded", "late"]),
        ("skip", 3600, ["superseded", "superseded", "superseded", "fired"]),
    ],
)
def test_an_outage_of_four_hours_ends_as_the_policy_says(
    clock: Clock, missed: str, deadline: Any, expected: list[str]
) -> None:
    release = Release(clock, hourly=entry(HOURLY, missed=missed, deadline=deadline))
    run(release.start())

    clock.advance(hours=4, minutes=30)
    run(release.start())

    assert list(slots("hourly").values()) == expected
    assert in_flight() == expected.count("fired")


def test_the_weekly_slot_within_an_outage_is_caught_up(clock: Clock) -> None:
    release = Release(clock, weekly=entry(crontab(hour=9, minute=0, day_of_week="monday")))
    run(release.start())
    clock.advance(hours=4)
    run(release.start())

    assert slots("weekly") == {"Mon 09:00": "fired"}


def test_what_is_due_now_is_not_missed(clock: Clock) -> None:
    beat = Release(clock, hourly=entry(HOURLY, missed="skip")).start()
    run(beat)
    clock.advance(hours=1, seconds=50)
    run(beat)

    assert slots("hourly") == {"Mon 09:00": "fired"}


def test_a_long_outage_is_caught_up_in_batches(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "BATCH", 7)
    release = Release(clock, often=entry(60))
    run(release.start())
    clock.advance(hours=1)
    run(release.start())

    found = list(slots("often").values())
    assert found == ["superseded"] * 59 + ["fired"]


# --- Releases ---------------------------------------------------------------------------------------------------------


def test_a_new_entry_does_not_catch_up_what_was_before_it(clock: Clock) -> None:
    run(Release(clock).start())
    clock.advance(hours=3)
    run(Release(clock, hourly=entry(HOURLY, missed="all")).start())

    assert slots("hourly") == {}


def test_a_changed_entry_does_not_replay_history(clock: Clock) -> None:
    run(Release(clock, hourly=entry(HOURLY, missed="all")).start())
    clock.advance(hours=3, minutes=30)
    beat = Release(clock, hourly=entry("*/20 * * * *", missed="all")).start()
    run(beat)
    clock.advance(minutes=10)
    run(beat)

    assert slots("hourly") == {"Mon 09:00": "changed", "Mon 10:00": "changed", "Mon 11:00": "changed"} | {
        "Mon 11:40": "fired"
    }


def test_what_is_just_due_when_an_entry_is_changed_is_fired_as_it_was(clock: Clock) -> None:
    run(Release(clock, hourly=entry(HOURLY, task="maintenance.cleanup")).start())
    clock.advance(hours=1, seconds=1)
    run(Release(clock, hourly=entry("30 * * * *", task="reporting.weekly")).start())

    assert slots("hourly") == {"Mon 09:00": "fired"}
    assert Message.objects.get().task == "maintenance.cleanup"


def test_what_was_missed_is_caught_up_where_only_what_runs_is_changed(clock: Clock) -> None:
    run(Release(clock, hourly=entry(HOURLY)).start())
    clock.advance(hours=1, minutes=10)
    run(Release(clock, hourly=entry(HOURLY, task="reporting.weekly")).start())

    assert slots("hourly") == {"Mon 09:00": "fired"}
    assert Message.objects.get().task == "reporting.weekly"


def test_a_removed_entry_fires_no_more_and_comes_back_without_its_past(clock: Clock) -> None:
    run(Release(clock, hourly=entry(HOURLY)).start())
    clock.advance(minutes=30)
    run(Release(clock).start())
    clock.advance(hours=3)
    run(Release(clock, hourly=entry(HOURLY, missed="all")).start())

    assert slots("hourly") == {}
    assert ScheduleEntry.objects.get().removed_at is None


def test_a_renamed_entry_does_not_fire_twice(clock: Clock) -> None:
    run(Release(clock, old=entry(HOURLY)).start())
    clock.advance(hours=1, seconds=2)
    beat = Release(clock, new=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert slots("old") == {"Mon 09:00": "fired"}
    assert slots("new") == {"Mon 10:00": "fired"}


def test_two_releases_side_by_side_go_by_the_one_that_was_started_last(clock: Clock) -> None:
    old = Release(clock, hourly=entry(HOURLY), gone=entry(HOURLY)).start()
    run(old)
    clock.advance(minutes=10)
    new = Release(clock, hourly=entry("30 * * * *"), added=entry(HOURLY)).start()
    run(new)

    for _ in range(6):
        clock.advance(minutes=15)
        run(old)
        run(new)

    assert slots("hourly") == {"Mon 08:30": "fired", "Mon 09:30": "fired"}
    assert slots("added") == {"Mon 09:00": "fired"}
    assert slots("gone") == {}


def test_a_beat_that_was_started_earlier_and_registers_later_changes_nothing(clock: Clock) -> None:
    stale = Release(clock, hourly=entry(HOURLY), gone=entry(HOURLY)).start(age=60)
    new = Release(clock, hourly=entry("30 * * * *")).start()
    run(new)
    run(stale)
    clock.advance(hours=1)
    run(stale)

    assert slots("hourly") == {"Mon 08:30": "fired"}
    assert list(ScheduleEntry.objects.values_list("name", flat=True)) == ["hourly"]


def test_a_release_counts_as_later_though_the_clock_was_set_back(clock: Clock) -> None:
    run(Release(clock, hourly=entry(HOURLY)).start())
    clock.advance(hours=-5)
    run(Release(clock, hourly=entry("30 * * * *")).start())

    assert ScheduleEntry.objects.get().timing == "30 * * * *, UTC"


def test_a_long_past_is_closed_in_batches_before_an_entry_is_changed(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "BATCH", 7)
    run(Release(clock, often=entry(60, missed="all")).start())
    clock.advance(hours=1)
    run(Release(clock, often=entry(HOURLY)).start())

    assert list(slots("often").values()) == ["changed"] * 58 + ["fired"] * 2
    assert ScheduleEntry.objects.get().timing == "0 * * * *, UTC"


def test_two_releases_that_register_at_the_same_moment_leave_one_of_them_whole(clock: Clock) -> None:
    beats = [
        Release(clock, first=entry(HOURLY), shared=entry(HOURLY)).start(age=5),
        Release(clock, second=entry(HOURLY), shared=entry("30 * * * *")).start(),
    ]
    together([partial(run, beat) for beat in beats])

    active = ScheduleEntry.objects.filter(removed_at=None).order_by("name")
    assert [(row.name, row.timing) for row in active] == [
        ("second", "0 * * * *, UTC"),
        ("shared", "30 * * * *, UTC"),
    ]


def test_a_beat_leaves_what_it_does_not_know_to_one_that_does(clock: Clock) -> None:
    old = Release(clock).start(age=7200)
    run(Release(clock, hourly=entry(HOURLY)).start())
    ScheduleEntry.objects.update(
        definition=ScheduleEntry.objects.get().definition.replace("maintenance.cleanup", "maintenance.brand_new")
    )
    clock.advance(hours=1)
    run(old)

    assert slots("hourly") == {}


def test_a_beat_leaves_a_definition_that_it_cannot_read(clock: Clock) -> None:
    old = Release(clock).start(age=7200)
    run(Release(clock, hourly=entry(HOURLY), other=entry(HOURLY)).start())
    ScheduleEntry.objects.filter(name="hourly").update(definition='{"due": {"lunar": 1}}')
    clock.advance(hours=1)
    run(old)

    assert slots("hourly") == {}
    assert slots("other") == {"Mon 09:00": "fired"}


# --- Trouble ----------------------------------------------------------------------------------------------------------


def test_a_broken_entry_stops_nobody_else(clock: Clock) -> None:
    release = Release(clock, typo=entry(HOURLY, task="no.such"), bad=entry("61 * * * *"), good=entry(HOURLY))
    beat = release.start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert slots("good") == {"Mon 09:00": "fired"}
    assert slots("typo") == slots("bad") == {}
    assert "no.such" in ScheduleEntry.objects.get(name="typo").trouble


def test_a_task_that_cannot_be_enqueued_is_recorded_and_stops_nobody_else(clock: Clock) -> None:
    large = {"headers": {"mine": "x" * 70_000}}
    beat = Release(clock, large=entry(HOURLY, options=large), good=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert slots("large") == {"Mon 09:00": "refused"}
    assert "UnusableHeaders" in ScheduleSlot.objects.get(entry="large").detail
    assert slots("good") == {"Mon 09:00": "fired"}
    assert in_flight() == 1


def test_a_release_that_is_rolled_back_may_meet_what_it_cannot_read(clock: Clock) -> None:
    run(Release(clock, hourly=entry(HOURLY)).start())
    ScheduleEntry.objects.update(definition='{"due": {"lunar": 1}}', timing="at full moon")
    clock.advance(hours=1, minutes=1)
    beat = Release(clock, hourly=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert slots("hourly") == {"Mon 10:00": "fired"}


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite has one lock for everybody")
def test_an_entry_whose_unique_key_is_just_being_taken_holds_up_no_other(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_slots, "LOCK_FOR", 0.2)
    keyed = entry(HOURLY, options={"unique_key": "one"})
    beat = Release(clock, another=entry(HOURLY), keyed=keyed, last=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=1)
    taken, done = threading.Event(), threading.Event()

    def take() -> None:
        with transaction.atomic():
            unique.acquire("maintenance.cleanup:one", "somebody's")
            taken.set()
            done.wait(120)
            transaction.set_rollback(True)
        connection.close()

    thread = threading.Thread(target=take)
    thread.start()
    assert taken.wait(120)
    run(beat)
    assert slots("another") == slots("last") == {"Mon 09:00": "fired"}
    assert slots("keyed") == {}

    done.set()
    thread.join()
    beat._held_until.clear()
    run(beat)
    assert slots("keyed") == {"Mon 09:00": "fired"}


class Away:
    """A database that loses its connection at each statement of this kind."""

    def __init__(self, start: str) -> None:
        self.start = start

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        if sql.lstrip().startswith(self.start):
            raise OperationalError("server closed the connection")
        return execute(sql, *rest)


@pytest.mark.parametrize("statement", ["SELECT", "INSERT INTO routing_scheduleslot", "UPDATE"])
def test_a_database_that_is_away_at_the_due_moment_costs_nothing(clock: Clock, statement: str) -> None:
    beat = Release(clock, hourly=entry(HOURLY)).start()
    run(beat)
    clock.advance(hours=1)

    with connection.execute_wrapper(Away(statement)):
        assert 0 < beat.tick() <= 5
    assert in_flight() == 0

    beat._held_until.clear()
    run(beat)
    assert slots("hourly") == {"Mon 09:00": "fired"}
    assert in_flight() == 1


def test_a_beat_that_starts_without_a_database_registers_when_it_is_there(clock: Clock) -> None:
    beat = Release(clock, hourly=entry(HOURLY)).start()
    with connection.execute_wrapper(Away("")):
        assert beat.tick() > 0
    run(beat)
    clock.advance(hours=1)
    run(beat)

    assert slots("hourly") == {"Mon 09:00": "fired"}
