"""Signs of life reach the service that watches for them, and cost whoever gives them nothing."""

import threading
import time

import pytest
from celery import current_app
from celery.schedules import crontab
from django.db import OperationalError
from pytest_django import Settings

from routing import pinging
from routing.ledger import slots as ledger_slots
from routing.outward import NotTaken, post
from tests.receiver import Receiver, receiver
from tests.schedule.moved_clock import Clock, Release, entry
from tests.services import free_port

__all__ = ["receiver"]


@pytest.mark.django_db(transaction=True)
def test_a_beat_that_keeps_the_schedule_gives_a_sign_of_life_once_a_minute(
    receiver: Receiver, settings: Settings
) -> None:
    settings.TASKYARD_PINGS = {pinging.BEAT: receiver.url}
    beat = Release(Clock(), hourly=entry(crontab(minute=0))).start()

    beat.tick()
    assert receiver.came.acquire(timeout=10)
    beat.tick()

    assert receiver.documents == [None]


@pytest.mark.django_db(transaction=True)
def test_a_beat_that_cannot_reach_the_schedule_gives_none(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKYARD_PINGS = {pinging.BEAT: receiver.url}
    beat = Release(Clock(), hourly=entry(crontab(minute=0))).start()

    def away() -> list[object]:
        raise OperationalError("away")

    with monkeypatch.context() as broken:
        broken.setattr(ledger_slots, "active", away)
        beat.tick()
    assert receiver.documents == []

    beat.tick()

    assert receiver.came.acquire(timeout=10)


@pytest.mark.any_database
def test_a_service_that_hangs_takes_no_time_of_beat_and_one_thread(receiver: Receiver, settings: Settings) -> None:
    receiver.status = 0
    settings.TASKYARD_PINGS = {pinging.BEAT: receiver.url}
    steady = pinging.Steady(pinging.BEAT, every=0)

    began = time.monotonic()
    for _ in range(50):
        steady.alive()

    assert time.monotonic() - began < 1
    assert sum(thread.name == "ping" for thread in threading.enumerate()) == 1


@pytest.mark.any_database
@pytest.mark.parametrize("status", [404, 500, 302])
def test_what_is_not_taken_is_tried_again_and_hurts_nobody(
    receiver: Receiver, settings: Settings, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = status
    settings.TASKYARD_PINGS = {pinging.WEEKLY_REPORT: receiver.url}

    assert not pinging.once(pinging.WEEKLY_REPORT)

    assert len(receiver.documents) == pinging.TRIES
    assert f"answered {status}" in caplog.text
    assert "a-long-secret" not in caplog.text


@pytest.mark.any_database
def test_nobody_there_is_said_so_without_the_secret_and_nothing_set_is_nothing_done(settings: Settings) -> None:
    with pytest.raises(NotTaken, match="cannot be reached") as raised:
        post(f"http://127.0.0.1:{free_port()}/a-long-secret")
    assert "a-long-secret" not in str(raised.value)

    settings.TASKYARD_PINGS = {}
    assert not pinging.once(pinging.WEEKLY_REPORT)
    pinging.Steady(pinging.BEAT).alive()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("week", "signs"), [(None, 1), ("2026-W45", 0)])
def test_the_weekly_report_gives_one_when_it_ran_by_itself(
    receiver: Receiver, settings: Settings, week: str | None, signs: int
) -> None:
    receiver.status = 500 if signs == 0 else 200
    settings.TASKYARD_PINGS = {pinging.WEEKLY_REPORT: receiver.url}

    current_app.tasks["reporting.weekly"].run(week=week)

    assert len(receiver.documents) == signs
