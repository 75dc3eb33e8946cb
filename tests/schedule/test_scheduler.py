"""The slot scheduler: each due time of an entry once, or recorded as missed."""

import pytest

from routing.ledger.tables import Message
from tests.schedule.moved_clock import Clock, Release, entry, run, slots

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_is_due_fires_once(clock: Clock) -> None:
    beat = Release(clock, hourly=entry("0 * * * *")).start()
    run(beat)
    clock.advance(hours=1)

    for _ in range(3):
        beat.tick()

    assert slots("hourly") == {"Mon 09:00": "fired"}
    assert Message.objects.filter(task="maintenance.cleanup").count() == 1
