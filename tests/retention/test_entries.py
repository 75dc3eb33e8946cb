"""Entries of the schedule that left the code: they go after their slots, and nothing that is wanted goes with them."""

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from routing.ledger import retention
from routing.ledger.retention import What
from routing.ledger.schedule_tables import ScheduleEntry
from routing.schedule import operating
from routing.schedule.definition import read_all
from routing.schedule.registering import register
from tests.console import schedule_specimens as specimens
from tests.console.schedule_specimens import BUILT_IN, EVERY, ago

pytestmark = pytest.mark.django_db(transaction=True)

REMOVED = What("schedule entries")
OLD = timedelta(days=200)


@pytest.fixture(autouse=True)
def sweep_is_gone() -> None:
    """It was in the code for a while; a beat without it started long ago, and another one since."""
    specimens.registered({**BUILT_IN, "sweep": EVERY["sweep"]})
    specimens.registered(BUILT_IN)
    long_ago = timezone.now() - OLD
    ScheduleEntry.objects.filter(name="sweep").update(removed_at=long_ago, defined_at=long_ago)


def names() -> set[str]:
    return set(ScheduleEntry.objects.values_list("name", flat=True))


def test_an_entry_that_left_the_code_goes_and_the_others_stay() -> None:
    now = timezone.now()
    assert retention.preview(now=now)[REMOVED] == 1

    assert retention.prune(now=now).removed[REMOVED] == 1

    assert names() == set(BUILT_IN)


def test_it_stays_while_it_has_slots_and_goes_the_night_after_them() -> None:
    specimens.fired("sweep", ago(days=300), status=None)
    now = timezone.now()
    assert retention.preview(now=now)[REMOVED] == 0

    assert retention.prune(now=now).removed == {What("slots", "maintenance", "fired"): 1}
    assert "sweep" in names()

    assert retention.prune(now=now).removed == {REMOVED: 1}


def test_it_stays_as_long_as_any_result_is_kept() -> None:
    ScheduleEntry.objects.filter(name="sweep").update(removed_at=timezone.now() - timedelta(days=2))

    retention.prune(now=timezone.now())

    assert "sweep" in names()


def test_a_pause_is_not_forgotten_before_the_code_has_the_entry_again() -> None:
    operating.pause("clean-up", by="ann", reason="moving")
    specimens.registered({})
    long_ago = timezone.now() - OLD
    ScheduleEntry.objects.update(removed_at=long_ago)
    specimens.registered({"weekly-report": BUILT_IN["weekly-report"]})

    retention.prune(now=timezone.now())
    specimens.registered(BUILT_IN)

    assert ScheduleEntry.objects.get(name="clean-up").paused_by == "ann"


def test_a_beat_that_was_started_before_the_last_one_cannot_register_where_all_entries_left_the_code() -> None:
    specimens.registered({})
    ScheduleEntry.objects.update(removed_at=timezone.now() - OLD)

    retention.prune(now=timezone.now())

    assert names(), "who registered last is still to be seen"
    assert not _register(BUILT_IN, age=timedelta(days=1))


def test_an_entry_that_comes_back_after_it_went_has_no_history_to_replay() -> None:
    retention.prune(now=timezone.now())

    specimens.registered({**BUILT_IN, "sweep": EVERY["sweep"]})

    plan = operating.plan("sweep")
    assert not plan.late_by
    assert plan.entry.removed_at is None


def _register(entries: dict[str, Any], *, age: timedelta) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(current_app.conf, "beat_schedule", entries)
        return register(dict(read_all(current_app)), age=age)
