"""What is told of due times that were missed or late: what, for how long, and until somebody makes up for it."""

from datetime import timedelta

import pytest

from routing.schedule import figures, operating
from routing.schedule.lapses import KEPT_FOR, Lately, lately
from tests.console import schedule_specimens as specimens
from tests.console.schedule_specimens import ago

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def schedule() -> None:
    specimens.registered(specimens.BUILT_IN)


def test_what_came_in_time_is_no_lapse() -> None:
    specimens.fired("clean-up", ago(hours=2), late=timedelta(seconds=59))

    assert lately() == {}


def test_missed_and_late_are_counted_and_the_last_of_each_is_known() -> None:
    missed = [specimens.missed("clean-up", ago(hours=hours)) for hours in (9, 7)]
    late = [specimens.fired("clean-up", ago(hours=hours), late=timedelta(hours=1)) for hours in (8, 6)]

    lapse = lately()["clean-up"]

    assert (lapse.missed, lapse.last_missed) == (2, missed[-1])
    assert (lapse.late, lapse.last_late) == (2, late[-1])


def test_a_missed_one_is_told_for_a_weekend_and_a_late_one_for_a_day() -> None:
    specimens.missed("clean-up", ago(days=2, hours=23))
    specimens.missed("weekly-report", ago(days=3, hours=1))
    specimens.fired("clean-up", ago(hours=25), late=timedelta(hours=1))

    lapses = lately()

    assert lapses.keys() == {"clean-up"}
    assert (lapses["clean-up"].missed, lapses["clean-up"].late) == (1, 0)


def test_what_people_paused_is_no_lapse() -> None:
    specimens.missed("clean-up", ago(hours=2), "paused")

    assert lately() == {}


def test_a_run_by_hand_makes_up_for_what_was_before_it() -> None:
    specimens.missed("clean-up", ago(hours=5))
    specimens.missed("weekly-report", ago(hours=5))
    specimens.by_hand("clean-up", ago(hours=4))
    assert lately().keys() == {"weekly-report"}

    again = specimens.missed("clean-up", ago(hours=3))

    assert (lately()["clean-up"].missed, lately()["clean-up"].last_missed) == (1, again)


def test_the_figures_for_metrics_tell_of_each_entry() -> None:
    specimens.registered(
        {**specimens.BUILT_IN, "broken": {"task": "no.task", "schedule": 60.0}, "sweep": specimens.EVERY["sweep"]}
    )
    specimens.missed("weekly-report", ago(hours=3))
    specimens.fired("weekly-report", ago(hours=2), late=timedelta(minutes=3))
    specimens.overdue("sweep", hours=1)
    operating.pause("clean-up", by="ann", reason="moving")

    found = {one.entry: one for one in figures.figures(operating.plans(), lately())}

    assert list(found) == ["broken", "clean-up", "sweep", "weekly-report"]
    assert (found["broken"].is_broken, found["broken"].next_due_at) == (True, None)
    assert (found["clean-up"].is_paused, found["clean-up"].overdue_seconds) == (True, 0.0)
    assert found["sweep"].overdue_seconds > 3000
    report = found["weekly-report"]
    assert (report.missed, report.late, report.last_late_seconds) == (1, 1, 180.0)
    assert report.next_due_at is not None
    assert report.next_due_at > ago().timestamp()


def test_when_an_entry_was_last_fired_is_told_whatever_was_missed_since() -> None:
    specimens.registered(specimens.BUILT_IN)
    specimens.fired("weekly-report", ago(days=9))
    last = specimens.fired("weekly-report", ago(days=2))
    specimens.missed("weekly-report", ago(hours=1))
    specimens.missed("clean-up", ago(hours=1))

    assert figures.last_fired() == {"weekly-report": last.decided_at}


def test_where_there_are_many_slots_they_are_read_now_and_then_only() -> None:
    now = [0.0]
    told = Lately(clock=lambda: now[0], many=2)
    specimens.missed("clean-up", ago(hours=6))
    assert told().keys() == {"clean-up"}, "few are read each time"

    for hours in (5, 4, 3):
        specimens.missed("weekly-report", ago(hours=hours))
    assert told()["weekly-report"].missed == 3
    specimens.missed("weekly-report", ago(minutes=9))
    now[0] += KEPT_FOR - 1
    assert told()["weekly-report"].missed == 3

    now[0] += 1

    assert told()["weekly-report"].missed == 4
