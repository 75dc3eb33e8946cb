"""What is scheduled, and when it is due: in the nights in which the clocks change, too."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery, current_app
from celery.schedules import crontab
from django.conf import settings

PARIS = ZoneInfo("Europe/Paris")


class Clock:
    def __init__(self, moment: datetime) -> None:
        self.moment = moment.astimezone(UTC)

    def now(self) -> datetime:
        """As a beat in Paris has it."""
        return self.moment.astimezone(PARIS)


def fires(entry: str, *, start: datetime, end: datetime) -> list[str]:
    """When a beat in Paris that looks every minute would fire a built-in entry, in local time."""
    app = Celery("clock", set_as_current=False, timezone="Europe/Paris", enable_utc=True)
    clock = Clock(start)
    due: Any = settings.CELERY_BEAT_SCHEDULE[entry]["schedule"]
    schedule = crontab(due._orig_minute, due._orig_hour, due._orig_day_of_week, app=app, nowfun=clock.now)
    last_run_at, fired = clock.now(), []
    while clock.now() < end:
        if schedule.is_due(last_run_at).is_due:
            fired.append(f"{clock.now():%a %d %H:%M %Z}")
            last_run_at = clock.now()
        clock.moment += timedelta(minutes=1)
    return fired


@pytest.mark.parametrize(
    ("entry", "task", "queue"),
    [("clean-up", "maintenance.cleanup", "maintenance"), ("weekly-report", "reporting.weekly", "reporting")],
)
def test_each_entry_reaches_its_own_domain(entry: str, task: str, queue: str) -> None:
    assert settings.CELERY_BEAT_SCHEDULE[entry]["task"] == task
    assert current_app.amqp.router.route({}, task)["queue"].name == queue


def test_the_schedule_goes_by_the_projects_time_zone() -> None:
    assert str(current_app.timezone) == settings.TIME_ZONE


def test_clean_up_is_due_each_night_at_two() -> None:
    fired = fires("clean-up", start=datetime(2026, 11, 9, tzinfo=PARIS), end=datetime(2026, 11, 12, tzinfo=PARIS))

    assert fired == ["Mon 09 02:00 CET", "Tue 10 02:00 CET", "Wed 11 02:00 CET"]


def test_the_weekly_report_is_due_on_monday_at_nine() -> None:
    fired = fires("weekly-report", start=datetime(2026, 11, 8, tzinfo=PARIS), end=datetime(2026, 11, 18, tzinfo=PARIS))

    assert fired == ["Mon 09 09:00 CET", "Mon 16 09:00 CET"]


def test_clean_up_runs_once_in_the_night_without_two_oclock() -> None:
    fired = fires(
        "clean-up", start=datetime(2027, 3, 27, 12, tzinfo=PARIS), end=datetime(2027, 3, 29, 12, tzinfo=PARIS)
    )

    assert fired == ["Sun 28 03:00 CEST", "Mon 29 02:00 CEST"]


def test_clean_up_runs_once_in_the_night_with_two_oclock_twice() -> None:
    fired = fires(
        "clean-up", start=datetime(2026, 10, 24, 12, tzinfo=PARIS), end=datetime(2026, 10, 26, 12, tzinfo=PARIS)
    )

    assert fired == ["Sun 25 02:00 CEST", "Mon 26 02:00 CET"]


@pytest.mark.parametrize(
    ("saturday", "monday"), [((2026, 10, 24), "Mon 26 09:00 CET"), ((2027, 3, 27), "Mon 29 09:00 CEST")]
)
def test_the_report_keeps_its_hour_when_the_clocks_change(saturday: tuple[int, int, int], monday: str) -> None:
    start = datetime(*saturday, tzinfo=PARIS)

    assert fires("weekly-report", start=start, end=start + timedelta(days=3)) == [monday]
