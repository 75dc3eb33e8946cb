"""ISO weeks in the project's time zone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reporting.weeks import NoSuchWeek, Week


@pytest.fixture(autouse=True)
def in_paris(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Paris"


def test_a_week_runs_from_monday_midnight_to_monday_midnight() -> None:
    week = Week(2026, 46)

    assert week.starts_at.astimezone(UTC) == datetime(2026, 11, 8, 23, tzinfo=UTC)
    assert week.ends_at - week.starts_at == timedelta(days=7)


@pytest.mark.parametrize(("week", "hours"), [(Week(2027, 12), 167), (Week(2026, 43), 169)])
def test_a_week_in_which_the_clocks_change_has_an_hour_less_or_more(week: Week, hours: int) -> None:
    length = week.ends_at.astimezone(UTC) - week.starts_at.astimezone(UTC)

    assert length == timedelta(hours=hours)


def test_the_last_moment_of_sunday_belongs_to_the_week_and_the_next_does_not() -> None:
    midnight = datetime(2026, 11, 15, 23, tzinfo=UTC)

    assert Week.of(midnight - timedelta(microseconds=1)) == Week(2026, 46)
    assert Week.of(midnight) == Week(2026, 47)


def test_week_53_comes_between_52_and_1() -> None:
    assert Week(2026, 52).next() == Week(2026, 53)
    assert Week(2026, 53).next() == Week(2027, 1)
    assert Week(2027, 1).previous() == Week(2026, 53)


def test_the_iso_year_is_not_always_the_days_own() -> None:
    assert Week.of(datetime(2027, 1, 3, 12, tzinfo=UTC)) == Week(2026, 53)


@pytest.mark.parametrize("text", ["2026-W46", "2026W46", " 2026-w46 "])
def test_a_week_is_read_as_people_write_it(text: str) -> None:
    assert Week.parse(text) == Week(2026, 46)
    assert str(Week.parse(text)) == "2026-W46"


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("last week", "such as 2026-W46"),
        ("2026-46", "such as 2026-W46"),
        ("2026-W54", "2026-W01 to 2026-W53"),
        ("2025-W53", "2025-W01 to 2025-W52"),
        ("2026-W00", "2026-W01 to 2026-W53"),
        ("0000-W01", "no week"),
        ("0001-W01", "no week"),
        ("9999-W52", "no week"),
    ],
)
def test_a_week_that_does_not_exist_names_the_cure(text: str, cure: str) -> None:
    with pytest.raises(NoSuchWeek, match=cure):
        Week.parse(text)
