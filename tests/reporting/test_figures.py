"""The week's figures, against numbers worked out by hand and against a second computation without the database."""

import random
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import states

from reporting.figures import Cleanups, Figures, Line, Tally, compute
from reporting.weeks import NoSuchWeek, Week
from routing.ledger.cleanup_tables import Cleanup, Removal
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db

WEEK = Week(2026, 46)
MONDAY = datetime(2026, 11, 9, tzinfo=UTC)
AFTER = datetime(2026, 11, 16, 9, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def ms(milliseconds: float) -> timedelta:
    return timedelta(milliseconds=milliseconds)


def figures(week: Week = WEEK, *, now: datetime = AFTER) -> Figures:
    return compute(week, now=now)


def line(lines: tuple[Line, ...], name: str) -> Line:
    (found,) = [line for line in lines if line.name == name]
    return found


def test_an_empty_week_has_no_lines() -> None:
    assert (figures().domains, figures().tasks, figures().finished) == ((), (), 0)


def test_counts_failures_and_revoked_by_hand() -> None:
    for status in [states.SUCCESS] * 6 + [states.FAILURE] * 3 + [states.REVOKED]:
        store("notifications.send_email", status=status, done_at=MONDAY)

    tally = line(figures().tasks, "notifications.send_email").now

    assert (tally.finished, tally.failed, tally.revoked, tally.failure_rate) == (10, 3, 1, 0.3)


@pytest.mark.parametrize(
    ("times", "median", "p95"),
    [
        ([250], 250, 250),
        ([100, 300], 200, 290),
        ([100, 200, 900], 200, 830),
        # 20 times: the median lies between the 10th and 11th, p95 at position 18.05, just past the 19th.
        (list(range(10, 210, 10)), 105, 190.5),
        ([5] * 21, 5, 5),
    ],
)
def test_median_and_p95_by_hand(times: list[int], median: float, p95: float) -> None:
    for time in reversed(times):
        store("reporting.weekly", done_at=MONDAY + timedelta(hours=1), took=ms(time))

    for lines, name in ((figures().tasks, "reporting.weekly"), (figures().domains, "reporting")):
        tally = line(lines, name).now
        assert (tally.median_time, tally.p95_time) == (ms(median), ms(p95))


def test_a_domains_percentiles_are_those_of_all_its_runs() -> None:
    for time in (10, 20, 30):
        store("notifications.one", done_at=MONDAY, took=ms(time))
    store("notifications.two", done_at=MONDAY, took=ms(1000))

    tally = line(figures().domains, "notifications").now

    assert (tally.finished, tally.median_time, tally.p95_time) == (4, ms(25), ms(854.5))


def test_failed_runs_count_in_the_times_and_revoked_ones_do_not() -> None:
    store(done_at=MONDAY, took=ms(100))
    store(done_at=MONDAY, took=ms(300), status=states.FAILURE)
    store(done_at=MONDAY, took=ms(9000), status=states.REVOKED)

    assert figures().tasks[0].now.median_time == ms(200)


def test_a_task_that_never_started_has_no_time() -> None:
    store(done_at=MONDAY, took=None, status=states.FAILURE)

    assert figures().tasks[0].now == Tally(finished=1, failed=1)


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    store(done_at=MONDAY, took=ms(-5))

    assert figures().tasks[0].now.median == 0


def test_a_result_belongs_to_the_week_in_which_its_task_finished() -> None:
    store("notifications.a", done_at=MONDAY - MOMENT)
    store("notifications.b", done_at=MONDAY, created_at=MONDAY - timedelta(days=3))
    store("notifications.c", done_at=WEEK.ends_at - MOMENT)
    store("notifications.d", done_at=WEEK.ends_at)

    assert {line.name for line in figures().tasks if line.now.finished} == {"notifications.b", "notifications.c"}


def test_the_week_before_stands_beside_it() -> None:
    store("notifications.a", done_at=MONDAY, took=ms(10))
    store("notifications.a", done_at=MONDAY - timedelta(days=7), took=ms(30))
    store("notifications.gone", done_at=MONDAY - MOMENT, took=ms(50), status=states.FAILURE)
    store("notifications.older", done_at=MONDAY - timedelta(days=7) - MOMENT)

    result = figures()

    assert line(result.tasks, "notifications.gone").now == Tally()
    assert line(result.tasks, "notifications.gone").before.failed == 1
    assert line(result.domains, "notifications").before == Tally(finished=2, failed=1, median=40_000, p95=49_000)
    assert len(result.tasks) == 2


def test_tasks_of_no_domain_are_shown_together() -> None:
    store("legacy.import", done_at=MONDAY, took=ms(10))
    store(None, done_at=MONDAY, took=ms(30))

    result = figures()

    assert line(result.domains, "").now == Tally(finished=2, median=20_000, p95=29_000)
    assert {line.name for line in result.tasks} == {"legacy.import", ""}


def test_unfinished_tasks_from_before_the_weeks_end_are_told_apart() -> None:
    since = MONDAY + timedelta(days=2)
    store("notifications.a", status=states.PENDING, done_at=since, created_at=since)
    store("notifications.a", status=states.STARTED, done_at=AFTER, created_at=MONDAY - timedelta(days=30))
    store("notifications.a", status=states.RETRY, done_at=AFTER, created_at=WEEK.ends_at)

    result = figures()

    (unfinished,) = result.unfinished
    assert (unfinished.name, unfinished.count, unfinished.since) == ("notifications.a", 2, MONDAY - timedelta(days=30))
    assert result.finished == 0


def test_tasks_in_flight_are_unfinished_unless_they_are_scheduled_for_later() -> None:
    since = MONDAY + timedelta(days=2)
    in_flight("notifications.a", created_at=since)
    in_flight("notifications.a", created_at=since + timedelta(hours=1), state=states.RETRY)
    in_flight("notifications.a", created_at=since, due_at=WEEK.ends_at)
    in_flight("notifications.a", created_at=WEEK.ends_at)
    in_flight("reporting.b", created_at=since, state="COUNTING")
    store("reporting.b", status=states.STARTED, done_at=AFTER, created_at=MONDAY)

    unfinished = [(item.name, item.domain, item.count, item.since) for item in figures().unfinished]

    assert unfinished == [("notifications.a", "notifications", 2, since), ("reporting.b", "reporting", 2, MONDAY)]


def test_the_worst_comes_first() -> None:
    for name, failed, succeeded, took in [
        ("a.calm", 0, 5, 10),
        ("b.slow", 0, 5, 900),
        ("c.all_bad", 2, 0, 10),
        ("d.some_bad", 2, 8, 10),
        ("e.worst", 3, 50, 10),
    ]:
        for status in [states.FAILURE] * failed + [states.SUCCESS] * succeeded:
            store(name, status=status, done_at=MONDAY, took=ms(took))

    assert [line.name for line in figures().tasks] == ["e.worst", "c.all_bad", "d.some_bad", "b.slow", "a.calm"]


@pytest.mark.parametrize(
    ("week", "first", "last"),
    [
        (Week(2026, 43), datetime(2026, 10, 18, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),
        (Week(2027, 12), datetime(2027, 3, 21, 23, tzinfo=UTC), datetime(2027, 3, 28, 22, tzinfo=UTC)),
        (Week(2026, 53), datetime(2026, 12, 27, 23, tzinfo=UTC), datetime(2027, 1, 3, 23, tzinfo=UTC)),
    ],
)
def test_weeks_go_by_local_midnights(settings: Any, week: Week, first: datetime, last: datetime) -> None:
    settings.TIME_ZONE = "Europe/Paris"
    for done_at in (first - MOMENT, first, last - MOMENT, last):
        store(done_at=done_at)

    result = figures(week, now=last + timedelta(hours=8))

    assert (result.finished, result.finished_before) == (2, 1)


def test_a_running_week_is_told_so_far() -> None:
    store(done_at=MONDAY)

    assert not figures(now=MONDAY + timedelta(days=2)).is_over
    assert figures(now=WEEK.ends_at).is_over


def test_a_week_to_come_is_refused() -> None:
    with pytest.raises(NoSuchWeek, match="in the future"):
        figures(now=WEEK.starts_at - MOMENT)


def test_a_week_whose_results_may_be_pruned_says_so() -> None:
    assert figures(now=AFTER).thinned == ()
    assert "notifications" in figures(now=WEEK.starts_at + timedelta(days=24)).thinned


def test_figures_survive_storing() -> None:
    store(done_at=MONDAY, took=ms(12.345))
    store(None, done_at=MONDAY - timedelta(days=1), status=states.FAILURE)
    store(status=states.PENDING, done_at=MONDAY)

    assert Figures.from_json(figures().as_json()) == figures()


def test_a_thousand_results_agree_with_a_second_computation() -> None:
    chance = random.Random(46)  # noqa: S311
    tasks = ["notifications.send_email", "notifications.deliver", "reporting.weekly", "legacy.import", None]
    rows = []
    for _ in range(1000):
        row: dict[str, Any] = {
            "task": chance.choice(tasks),
            "status": chance.choices([states.SUCCESS, states.FAILURE, states.REVOKED, states.PENDING], [80, 10, 5, 5])[
                0
            ],
            "done_at": MONDAY + timedelta(seconds=chance.uniform(-8, 8) * 86_400),
            "took": None if chance.random() < 0.05 else timedelta(microseconds=chance.randrange(10**9)),
        }
        rows.append(row)
        store(**row)

    result = figures()

    for lines, key in ((result.tasks, lambda task: task or ""), (result.domains, domain)):
        expected = by_hand(rows, key)
        assert {line.name: line.now for line in lines if line.now.finished} == expected


def domain(task: str | None) -> str:
    first = (task or "").split(".")[0]
    return first if first in ("notifications", "reporting") else ""


def by_hand(rows: list[dict[str, Any]], key: Any) -> dict[str, Tally]:
    """The tallies of the week, computed in Python, with percentiles from the standard library."""
    groups = defaultdict(list)
    for row in rows:
        if MONDAY <= row["done_at"] < WEEK.ends_at and row["status"] != states.PENDING:
            groups[key(row["task"])].append(row)
    return {name: tally(group) for name, group in groups.items()}


def tally(group: list[dict[str, Any]]) -> Tally:
    outcomes = [row["status"] for row in group]
    timed = [row["took"] // MOMENT for row in group if row["took"] is not None and row["status"] != states.REVOKED]
    return Tally(
        finished=len(group),
        failed=outcomes.count(states.FAILURE),
        revoked=outcomes.count(states.REVOKED),
        median=round(statistics.median(timed)),
        p95=round(statistics.quantiles(timed, n=20, method="inclusive")[-1]),
    )


def clean_up(started_at: datetime, **removed: int) -> None:
    """Each kind in two domains, half and half."""
    ran = Cleanup.objects.create(as_of=started_at, policy="any", whole=True, started_at=started_at)
    for kind, count in removed.items():
        for domain in ("notifications", "reporting"):
            Removal.objects.create(cleanup=ran, kind=kind, domain=domain, outcome="success", count=count / 2)


def test_clean_ups_of_the_week_tell_what_they_removed_also_those_that_were_killed() -> None:
    clean_up(MONDAY - MOMENT, results=1_000)
    clean_up(MONDAY, results=40, payloads=6)
    clean_up(MONDAY + timedelta(days=3), results=2)
    clean_up(MONDAY + timedelta(days=7), results=1_000)

    assert figures().cleanups == Cleanups(2, {"results": 42, "payloads": 6})


def test_a_report_that_was_kept_before_it_told_of_clean_ups_is_still_read() -> None:
    kept = figures().as_json()
    del kept["cleanups"]

    assert Figures.from_json(kept).cleanups is None
