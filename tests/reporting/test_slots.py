"""When a report is due to whom: in their own time zone, once, whatever the clocks do."""

from datetime import UTC, date, datetime

import pytest

from reporting.days import Day
from reporting.subscribing.slots import Slot
from reporting.weeks import Week

pytestmark = pytest.mark.any_database
W46 = Week(2026, 46)
MONDAY, FRIDAY, SUNDAY = 0, 4, 6


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("slot", "due"),
    [
        (Slot("UTC", MONDAY, 9), utc(2026, 11, 16, 9)),
        (Slot("Europe/Berlin", MONDAY, 9), utc(2026, 11, 16, 8)),
        (Slot("America/New_York", FRIDAY, 17), utc(2026, 11, 20, 22)),
        (Slot("Pacific/Honolulu", SUNDAY, 23), utc(2026, 11, 23, 9)),
    ],
)
def test_a_week_is_due_in_the_week_after_by_their_own_calendar(slot: Slot, due: datetime) -> None:
    assert slot.due_after(W46) == due


def test_where_monday_comes_first_it_is_due_as_soon_as_the_week_is_over() -> None:
    # Nine in Auckland is eight in the evening of Sunday by UTC.
    assert Slot("Pacific/Auckland", MONDAY, 9).due_after(W46) == W46.ends_at


def test_an_hour_that_the_clocks_skip_is_the_moment_after() -> None:
    # On 29 March 2026 Berlin goes from 2:00 straight to 3:00, which is 1:00 by UTC.
    week = Week.of_day(date(2026, 3, 22))

    assert Slot("Europe/Berlin", SUNDAY, 2).due_after(week) == utc(2026, 3, 29, 1)


def test_of_an_hour_that_comes_twice_the_first_counts() -> None:
    # On 25 October 2026 Berlin has two o'clock at 0:00 and at 1:00 by UTC.
    week = Week.of_day(date(2026, 10, 18))

    assert Slot("Europe/Berlin", SUNDAY, 2).due_after(week) == utc(2026, 10, 25, 0)


@pytest.mark.parametrize(
    "zone", ["UTC", "Pacific/Auckland", "Pacific/Honolulu", "Asia/Kathmandu", "Pacific/Kiritimati"]
)
@pytest.mark.parametrize("hour", [0, 9, 23])
def test_each_day_has_one_such_hour(zone: str, hour: int) -> None:
    day = Day(date(2026, 11, 16))

    due = Slot(zone, MONDAY, hour).due_within(day)

    assert day.starts_at <= due < day.ends_at
    assert due == Slot(zone, FRIDAY, hour).due_within(day)


def test_a_zone_that_is_no_more_is_read_as_the_projects() -> None:
    assert Slot("Mars/Olympus", MONDAY, 9).due_after(W46) == Slot("UTC", MONDAY, 9).due_after(W46)
