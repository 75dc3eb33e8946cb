"""Beat's scheduler: what is due is not lost to a broker that is away."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from celery.beat import SchedulingError
from django.utils import timezone

from routing.schedule.scheduler import Scheduler
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
Start = Callable[[], Scheduler]


class Publisher:
    """Stands in for the broker: notes what is published, and refuses while it is away."""

    def __init__(self) -> None:
        self.is_away = False
        self.sent: list[str] = []
        self.refused = 0

    def publish(self, entry: Any) -> Any:
        if self.is_away:
            self.refused += 1
            raise SchedulingError("no broker")
        self.sent.append(entry.name)
        return current_app.AsyncResult("some-id")


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Publisher:
    publisher = Publisher()
    monkeypatch.setattr(Scheduler, "apply_async", lambda _, entry, **__: publisher.publish(entry))
    monkeypatch.setattr("routing.schedule.scheduler.RETRY_AFTER", 0.05)
    return publisher


@pytest.fixture
def schedule(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A task that was last fired two hours ago, and is due every hour."""
    last_run_at = timezone.now() - timedelta(hours=2)
    entry = {"task": "maintenance.cleanup", "schedule": timedelta(hours=1), "last_run_at": last_run_at}
    schedule = {"hourly": entry}
    monkeypatch.setitem(current_app.conf, "beat_schedule", schedule)
    return schedule


@pytest.fixture
def start(tmp_path: Path, schedule: dict[str, Any], publisher: Publisher) -> Iterator[Start]:
    """Start a beat, again and again on the same file."""
    started: list[Scheduler] = []

    def start() -> Scheduler:
        beat = Scheduler(app=current_app, max_interval=5, schedule_filename=str(tmp_path / "new" / "schedule"))
        started.append(beat)
        return beat

    yield start
    for beat in started:
        beat.close()


def test_what_is_due_fires_once(start: Start, publisher: Publisher) -> None:
    beat = start()

    for _ in range(3):
        beat.tick()

    assert publisher.sent == ["hourly"]


def test_what_could_not_be_published_is_tried_again(start: Start, publisher: Publisher) -> None:
    beat = start()
    publisher.is_away = True
    until(lambda: beat.tick() is not None and publisher.refused >= 2, what="a second try")

    publisher.is_away = False

    until(lambda: beat.tick() is not None and publisher.sent, what="a third try")
    beat.tick()
    assert publisher.sent == ["hourly"]


def test_a_refused_entry_does_not_spin(start: Start, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routing.schedule.scheduler.RETRY_AFTER", 60)
    beat = start()
    publisher.is_away = True

    pauses = [beat.tick() for _ in range(10)]

    assert publisher.refused == 1
    assert min(pauses[2:]) > 4


def test_a_refused_entry_does_not_hold_up_the_others(
    start: Start, publisher: Publisher, schedule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.schedule.scheduler.RETRY_AFTER", 60)
    beat = start()
    publisher.is_away = True
    beat.tick()
    publisher.is_away = False

    beat.add(name="other", **schedule["hourly"])

    until(lambda: beat.tick() is not None and publisher.sent, seconds=5, what="the other entry")
    assert publisher.sent == ["other"]


def test_a_beat_that_stops_while_the_broker_is_away_fires_at_its_next_start(start: Start, publisher: Publisher) -> None:
    beat = start()
    publisher.is_away = True
    beat.tick()
    beat.close()
    publisher.is_away = False

    start().tick()

    assert publisher.sent == ["hourly"]


def test_a_beat_that_is_killed_after_firing_does_not_fire_again(
    start: Start, publisher: Publisher, tmp_path: Path
) -> None:
    start().tick()

    copy = {file.name: file.read_bytes() for file in (tmp_path / "new").iterdir()}
    (tmp_path / "killed").mkdir()
    for name, content in copy.items():
        (tmp_path / "killed" / name).write_bytes(content)
    Scheduler(app=current_app, schedule_filename=str(tmp_path / "killed" / "schedule")).tick()

    assert publisher.sent == ["hourly"]


def test_a_spoiled_schedule_file_is_made_anew(start: Start, publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "schedule").write_bytes(b"spoiled")

    start().tick()

    assert publisher.sent == ["hourly"]
