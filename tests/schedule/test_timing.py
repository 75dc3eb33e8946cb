"""Due times beside Debian's cron, which is written down in tests/prove_schedule/debian.py, and of intervals."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.schedule.timing import EPOCH, Crontab, Interval
from tests.prove_schedule import debian, zones

pytestmark = pytest.mark.any_database

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)


def due(fields: str, after: datetime, *, number: int = 4, zone: str = "Europe/Berlin") -> list[str]:
    found = islice(Crontab(fields, zone).after(after, anchor=EPOCH), number)
    return [f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M%z}" for moment in found]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Europe/Berlin", SPRING),
        ("Europe/Berlin", AUTUMN),
        ("Australia/Lord_Howe", datetime(2027, 4, 3, 15, tzinfo=UTC)),
        ("Atlantic/Azores", AUTUMN),
        ("Asia/Beirut", datetime(2027, 3, 27, 22, tzinfo=UTC)),
        ("Antarctica/Troll", SPRING),
        ("Europe/Volgograd", datetime(2020, 12, 26, 22, tzinfo=UTC)),
    ],
)
def test_around_a_change_all_is_due_when_debians_cron_runs_it(name: str, change: datetime) -> None:
    assert change in set(zones.changes(ZoneInfo(name), change - timedelta(days=2), change + timedelta(days=2)))

    counts = zones.compare(name, change)

    assert counts.is_good, counts.findings
    assert counts.slots > 50


def test_what_debians_cron_takes_for_a_correction_is_due_when_the_gap_is_over() -> None:
    change = next(zones.changes(ZoneInfo("Antarctica/Casey"), datetime(2020, 10, 1, tzinfo=UTC)))
    assert zones.is_correction(change, ZoneInfo("Antarctica/Casey"))

    assert due("30 1 * * *", change - timedelta(hours=1), number=2, zone="Antarctica/Casey") == [
        "04 03:01+1100",
        "05 01:30+1100",
    ]


def test_a_fixed_job_in_the_hour_that_is_skipped_is_due_when_it_is_over() -> None:
    assert due("30 2 * * *", SPRING - timedelta(hours=3), number=2) == ["28 03:00+0200", "29 02:30+0200"]


def test_a_fixed_job_in_the_hour_that_comes_twice_is_due_in_the_first() -> None:
    assert due("30 2 * * *", AUTUMN - timedelta(hours=3), number=2) == ["25 02:30+0200", "26 02:30+0100"]


def test_a_job_with_a_star_goes_by_the_clock_as_it_stands() -> None:
    assert due("*/30 2 * * *", AUTUMN - timedelta(hours=3)) == [
        "25 02:00+0200",
        "25 02:30+0200",
        "25 02:00+0100",
        "25 02:30+0100",
    ]
    assert due("*/30 2 * * *", SPRING - timedelta(hours=3), number=1) == ["29 02:00+0200"]


def test_between_the_two_passes_only_the_second_is_left() -> None:
    assert due("*/30 * * * *", AUTUMN - timedelta(minutes=10), number=2) == ["25 02:00+0100", "25 02:30+0100"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("0 9 * * mon-fri", ["01 09:00+0000", "04 09:00+0000"]),
        ("0 9 13 * fri", ["13 09:00+0000", "13 09:00+0000"]),
        ("*/25 8 * * *", ["01 08:00+0000", "01 08:25+0000", "01 08:50+0000", "02 08:00+0000"]),
        ("0 0 31 */2 *", ["31 00:00+0000", "31 00:00+0000"]),
        ("5,10 22-1 1 1 *", ["01 00:05+0000", "01 00:10+0000", "01 01:05+0000", "01 01:10+0000", "01 22:05+0000"]),
    ],
)
def test_fields_mean_what_celery_reads_in_them(fields: str, expected: list[str]) -> None:
    start = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)

    assert due(fields, start, number=len(expected), zone="UTC") == expected


MINUTES = st.integers(0, 525_600).map(lambda minutes: datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=minutes))


@settings(max_examples=60, deadline=None)
@given(
    line=st.tuples(
        st.sampled_from(["0", "*/7", "3-59/10", "30,45"]),
        st.sampled_from(["*", "2", "*/5", "0-4"]),
        st.sampled_from(["*", "1-15", "31"]),
        st.sampled_from(["*", "3,10", "*/4"]),
    ),
    zone=st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "UTC"]),
    start=MINUTES,
)
def test_on_any_day_all_is_due_when_debians_cron_runs_it(
    line: tuple[str, str, str, str], zone: str, start: datetime
) -> None:
    text, end = " ".join([*line, "*"]), start + timedelta(hours=30)
    expected = debian.runs({text: debian.Job.of(text)}, ZoneInfo(zone), start, end)[text]

    found = set()
    for moment in Crontab(text, zone).after(start, anchor=EPOCH):
        if moment > end:
            break
        found.add(moment)

    assert found == expected


@given(
    seconds=st.floats(1, 10**6, allow_nan=False),
    after=MINUTES,
    anchor=MINUTES,
)
def test_an_interval_is_the_same_wherever_one_begins_to_look(seconds: float, after: datetime, anchor: datetime) -> None:
    interval = Interval(seconds)
    first, second, third = islice(interval.after(after, anchor=anchor), 3)

    assert first > after >= first - timedelta(seconds=seconds)
    assert next(interval.after(first, anchor=anchor)) == second
    assert next(interval.after(second - timedelta(microseconds=1), anchor=anchor)) == second
    assert third - second == second - first == timedelta(seconds=seconds)


def test_by_the_clock_an_interval_is_counted_from_1970() -> None:
    after = datetime(2027, 1, 1, 8, 17, tzinfo=UTC)

    assert next(Interval(3600, by_the_clock=True).after(after, anchor=after)) == datetime(2027, 1, 1, 9, tzinfo=UTC)
