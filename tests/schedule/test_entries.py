"""The built-in entries: what is scheduled, and when it is due, in the nights in which the clocks change, too."""

from datetime import datetime
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import current_app
from django.conf import settings

from project import celery_app
from routing.schedule.definition import Definition, read
from routing.schedule.timing import EPOCH

# Their tasks are there once something has run, or this.
celery_app.loader.import_default_modules()

PARIS = ZoneInfo("Europe/Paris")


def definition(entry: str) -> Definition:
    """As a project in Paris has it."""
    return read(entry, {**settings.CELERY_BEAT_SCHEDULE[entry], "timezone": "Europe/Paris"}, current_app)


def due(entry: str, *, start: datetime, end: datetime) -> list[str]:
    """In local time."""
    moments = takewhile(lambda moment: moment < end, definition(entry).timing.after(start, anchor=EPOCH))
    return [f"{moment.astimezone(PARIS):%a %d %H:%M %Z}" for moment in moments]


@pytest.mark.parametrize(
    ("entry", "task", "queue"),
    [
        ("roll-up", "maintenance.roll_up", "maintenance"),
        ("end-deliveries", "maintenance.end_deliveries", "maintenance"),
        ("clean-up", "maintenance.cleanup", "maintenance"),
        ("weekly-report", "reporting.weekly", "reporting"),
    ],
)
def test_each_entry_reaches_its_own_domain(entry: str, task: str, queue: str) -> None:
    assert settings.CELERY_BEAT_SCHEDULE[entry]["task"] == task
    assert current_app.amqp.router.route({}, task)["queue"].name == queue


def test_the_schedule_goes_by_the_projects_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_app.conf, "timezone", "Asia/Tokyo")

    found: Any = read("clean-up", settings.CELERY_BEAT_SCHEDULE["clean-up"], current_app).timing

    assert str(found) == "0 2 * * *, Asia/Tokyo"


def test_clean_up_is_due_each_night_at_two() -> None:
    found = due("clean-up", start=datetime(2026, 11, 9, tzinfo=PARIS), end=datetime(2026, 11, 12, tzinfo=PARIS))

    assert found == ["Mon 09 02:00 CET", "Tue 10 02:00 CET", "Wed 11 02:00 CET"]


def test_the_weekly_report_is_due_on_monday_at_nine() -> None:
    found = due("weekly-report", start=datetime(2026, 11, 8, tzinfo=PARIS), end=datetime(2026, 11, 18, tzinfo=PARIS))

    assert found == ["Mon 09 09:00 CET", "Mon 16 09:00 CET"]


def test_clean_up_runs_once_in_the_night_without_two_oclock() -> None:
    found = due("clean-up", start=datetime(2027, 3, 27, 12, tzinfo=PARIS), end=datetime(2027, 3, 29, 12, tzinfo=PARIS))

    assert found == ["Sun 28 03:00 CEST", "Mon 29 02:00 CEST"]


def test_clean_up_runs_once_in_the_night_with_two_oclock_twice() -> None:
    found = due(
        "clean-up", start=datetime(2026, 10, 24, 12, tzinfo=PARIS), end=datetime(2026, 10, 26, 12, tzinfo=PARIS)
    )

    assert found == ["Sun 25 02:00 CEST", "Mon 26 02:00 CET"]


@pytest.mark.parametrize(
    ("saturday", "monday"), [((2026, 10, 24), "Mon 26 09:00 CET"), ((2027, 3, 27), "Mon 29 09:00 CEST")]
)
def test_the_report_keeps_its_hour_when_the_clocks_change(saturday: tuple[int, int, int], monday: str) -> None:
    start = datetime(*saturday, tzinfo=PARIS)
    end = datetime(saturday[0], saturday[1], saturday[2] + 2, 23, tzinfo=PARIS)

    assert due("weekly-report", start=start, end=end) == [monday]
