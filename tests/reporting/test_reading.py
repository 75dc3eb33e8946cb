"""The report's figures against a second computation over a generated fortnight, without roll-ups or SQL."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from celery import states

from reporting.documents.cells import Count
from reporting.reports import named
from reporting.rollups import gathering, reading
from reporting.weeks import Week
from tests.reporting import fortnight
from tests.reporting.fortnight import Made

pytestmark = pytest.mark.django_db

WEEK = Week(2026, 46)
AFTER = WEEK.ends_at + timedelta(hours=9)


@pytest.fixture
def made() -> list[Made]:
    found = fortnight.make(3_000, begin=WEEK.previous().starts_at, end=WEEK.ends_at)
    fortnight.store(found)
    gathering.roll_up(budget=timedelta(minutes=1), patience=timedelta())
    return found


def of_week(made: list[Made], week: Week) -> list[Made]:
    return [row for row in made if week.starts_at <= row.done_at < week.ends_at]


def spans(week: Week) -> list[tuple[datetime, datetime]]:
    return [(day.starts_at, day.ends_at) for day in week.days]


@pytest.mark.parametrize("week", [WEEK, WEEK.previous()])
def test_counts_are_exact_by_domain_day_and_task(made: list[Made], week: Week) -> None:
    found, mine = reading.read(spans(week)), of_week(made, week)

    assert found.whole.outcomes == fortnight.outcomes(mine)
    for domain, sums in found.days.items():
        for sum_, (begin, end) in zip(sums, spans(week), strict=True):
            day = [row for row in mine if row.domain == domain and begin <= row.done_at < end]
            assert sum_.outcomes == fortnight.outcomes(day)
    for task, sum_ in found.tasks.items():
        assert sum_.outcomes == fortnight.outcomes(row for row in mine if row.task == task.name)
        assert sum_.retries == sum(row.attempt - 1 for row in mine if row.task == task.name)
    assert {task.name for task in found.tasks} == {row.task for row in mine}


def test_percentiles_are_within_five_per_cent(made: list[Made]) -> None:
    ran = [row for row in of_week(made, WEEK) if row.status in (states.SUCCESS, states.FAILURE)]

    for domain, sum_ in reading.read(spans(WEEK)).domains.items():
        own = [row for row in ran if row.domain == domain]
        waits = fortnight.p95(row.waited for row in own if row.attempt == 1)
        assert sum_.p95_run is not None
        assert sum_.p95_wait is not None
        assert abs(sum_.p95_run / fortnight.p95(row.ran for row in own) - 1) < 0.05
        assert abs(sum_.p95_wait / waits - 1) < 0.05


def test_a_domain_alone_is_read_alone(made: list[Made]) -> None:
    found = reading.read(spans(WEEK), domains=frozenset({"reporting"}))

    assert set(found.days) == {"reporting"}
    assert found.whole.outcomes == fortnight.outcomes(row for row in of_week(made, WEEK) if row.domain == "reporting")


def test_the_document_shows_the_same_counts(made: list[Made]) -> None:
    report = named("weekly")
    document = report.build(WEEK, now=AFTER)

    (part,) = [part for part in document.parts if part.name == "domains"]
    tables = [block.rows for block in part.blocks if hasattr(block, "rows")]
    counts = sorted(rows[0].cells[1].value for rows in tables if isinstance(rows[0].cells[1], Count))
    by_domain = [
        len([row for row in of_week(made, WEEK) if row.domain == domain]) for domain in fortnight.DOMAINS.values()
    ]
    assert counts == sorted(by_domain)


def test_days_of_a_week_follow_each_other_also_where_clocks_change(settings: object) -> None:
    settings.TIME_ZONE = "Europe/Paris"  # type: ignore[attr-defined]
    for week, hours in ((Week(2026, 43), 169), (Week(2027, 12), 167), (Week(2026, 53), 168)):
        found = spans(week)
        assert all(before[1] == after[0] for before, after in pairwise(found))
        assert found[-1][1].astimezone(UTC) - found[0][0].astimezone(UTC) == timedelta(hours=hours)
