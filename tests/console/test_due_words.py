"""Due times in words, in the entry's own time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from routing.console.due_words import away, rhythm, rough, when, zone_of
from routing.schedule.definition import Definition
from routing.schedule.timing import Crontab, Interval

FRIDAY = datetime(2026, 11, 27, 21, 0, tzinfo=UTC)
SITE, TOKYO = ZoneInfo("UTC"), ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ((2026, 11, 27, 2), "today 02:00"),
        ((2026, 11, 28, 2), "tomorrow 02:00"),
        ((2026, 11, 26, 23, 59, 58), "yesterday 23:59:58"),
        ((2026, 11, 30, 9), "Monday 09:00"),
        ((2026, 12, 3, 9), "Thursday 09:00"),
        ((2026, 12, 4, 9), "Fri 4 Dec 09:00"),
        ((2026, 11, 23, 9), "Mon 23 Nov 09:00"),
        ((2027, 2, 1, 9), "Mon 1 Feb 2027 09:00"),
    ],
)
def test_a_day_is_named_as_people_would(moment: tuple[int, ...], words: str) -> None:
    assert when(datetime(*moment, tzinfo=UTC), at=FRIDAY, zone=SITE) == words  # type: ignore[arg-type,misc]


def test_another_zone_is_named_and_has_days_of_its_own() -> None:
    # In Tokyo it is Saturday already.
    assert when(FRIDAY + timedelta(hours=2), at=FRIDAY, zone=TOKYO) == "today 08:00 Asia/Tokyo"
    assert when(FRIDAY - timedelta(hours=8), at=FRIDAY, zone=TOKYO) == "yesterday 22:00 Asia/Tokyo"


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=40), "40 s"),
        (timedelta(seconds=59), "1 min"),
        (timedelta(minutes=4, seconds=58), "5 min"),
        (timedelta(hours=4, minutes=58), "5 h"),
        (timedelta(hours=23, minutes=58), "1 d"),
        (timedelta(days=3, hours=11), "3 d"),
    ],
)
def test_how_far_away_takes_one_unit(length: timedelta, words: str) -> None:
    assert rough(length) == words
    assert away(FRIDAY + length, at=FRIDAY) == f"in {words}"
    assert length == timedelta(0) or away(FRIDAY - length, at=FRIDAY) == f"{words} ago"


def test_a_rhythm_names_the_zone_where_it_is_not_the_sites() -> None:
    assert rhythm(Crontab("0 9 * * monday", "UTC")) == "0 9 * * monday"
    assert rhythm(Crontab("0 9 * * monday", "Asia/Tokyo")) == "0 9 * * monday, Asia/Tokyo"
    assert rhythm(Interval(300.0)) == "every 5 min"
    assert rhythm(Interval(1.5)) == "every 1.5 s"
    assert rhythm(Interval(3600.0, by_the_clock=True)) == "every 1 h by the clock"


def test_what_goes_by_no_zone_is_told_in_the_sites() -> None:
    assert zone_of(None) == zone_of(Definition("a.task", Interval(60.0))) == SITE
    assert zone_of(Definition("a.task", Crontab("0 9 * * *", "Asia/Tokyo"))) == TOKYO
