"""Roll-ups by the hour: exact against the raw table, whatever dies, comes late, or runs twice."""

import json
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from threading import Event

import pytest
from celery import states
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django_celery_results.models import TaskResult
from hypothesis import given
from hypothesis import strategies as st

from reporting.rollups import gathering, histogram
from reporting.rollups.tables import RollUp, RollUpTotal
from routing.ledger import retention
from tests.retention.old_rows import store_many
from tests.services import DATABASE
from tests.stored_results import store
from tests.workers import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)

NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
LONG_AGO = timezone.now() - timedelta(days=400)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
AT_ONCE = timedelta()
postgresql = pytest.mark.skipif(DATABASE != "postgresql", reason="SQLite has one writer at a time")


def roll_up() -> int:
    return gathering.roll_up(budget=timedelta(minutes=1), patience=AT_ONCE).counted


def counts() -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for row in RollUp.objects.all():
        found[(f"{row.hour:%d %H}", row.domain, row.queue, row.task, row.outcome)] += row.count
    return found


def test_each_result_counts_in_the_hour_in_which_it_was_recorded() -> None:
    store("reporting.weekly", done_at=NINE, queue="reporting", domain="reporting")
    store("reporting.weekly", done_at=NINE + HOUR - timedelta(microseconds=1), queue="reporting", domain="reporting")
    store("reporting.weekly", done_at=NINE + HOUR, status=states.FAILURE)
    store("unheard.of", done_at=NINE)

    roll_up()

    assert counts() == {
        ("23 09", "reporting", "reporting", "reporting.weekly", "SUCCESS"): 2,
        ("23 10", "reporting", "", "reporting.weekly", "FAILURE"): 1,
        ("23 09", "", "", "unheard.of", "SUCCESS"): 1,
    }


def test_rolling_up_twice_changes_nothing() -> None:
    store(done_at=NINE)

    assert (roll_up(), roll_up()) == (1, 0)

    assert counts().total() == 1


def test_a_result_that_comes_late_counts_in_its_own_hour() -> None:
    store(done_at=NINE)
    roll_up()

    store(done_at=NINE - timedelta(days=40))
    store(done_at=NINE + SECOND)
    roll_up()

    assert sorted(RollUp.objects.values_list("hour", "count")) == [(NINE - timedelta(days=40), 1), (NINE, 2)]


def test_waits_are_those_of_first_runs_and_retries_are_counted() -> None:
    first = store(done_at=NINE + timedelta(seconds=30), took=10 * SECOND, created_at=NINE)
    again = store(done_at=NINE + HOUR / 2, took=10 * SECOND, created_at=NINE)
    TaskResult.objects.filter(pk=first.pk).update(meta=json.dumps({"attempt": 1}))
    TaskResult.objects.filter(pk=again.pk).update(meta=json.dumps({"attempt": 4}))

    roll_up()

    row = RollUp.objects.get()
    assert (row.count, row.retries, row.ran, row.waited) == (2, 3, 20_000_000, 20_000_000)
    assert (sum(row.runs.values()), sum(row.waits.values())) == (2, 1)


def test_what_has_no_outcome_yet_counts_when_it_has_one() -> None:
    running = store(done_at=NINE, status=states.STARTED)
    store(done_at=NINE)
    assert roll_up() == 1

    TaskResult.objects.filter(pk=running.pk).update(status=states.SUCCESS, date_done=NINE + HOUR)
    assert (roll_up(), roll_up()) == (1, 0)

    assert sorted(RollUp.objects.values_list("hour", "count")) == [(NINE, 1), (NINE + HOUR, 1)]


@postgresql
def test_a_result_whose_transaction_is_overtaken_is_counted_when_it_commits() -> None:
    """Its key is lower than those that were counted before it could be seen."""
    stored, commit = Event(), Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                store(done_at=NINE)
                stored.set()
                assert commit.wait(120)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        overtaken = pool.submit(slow)
        assert stored.wait(120)
        store(done_at=NINE)

        assert roll_up() == 0
        commit.set()
        overtaken.result()

    assert roll_up() == 2


@postgresql
def test_a_transaction_that_lasts_holds_up_only_what_came_after_it() -> None:
    stored, commit = Event(), Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                store(done_at=NINE)
                stored.set()
                assert commit.wait(120)
        finally:
            connection.close()

    store(done_at=NINE)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slow)
        assert stored.wait(120)
        assert roll_up() == 0
        stored.clear()
        commit.set()
        first.result()
        commit.clear()
        second = pool.submit(slow)
        assert stored.wait(120)

        # The fence that was not firm the last time is now, and another transaction is under way.
        assert roll_up() == 2
        commit.set()
        second.result()

    assert roll_up() == 1


@pytest.mark.parametrize("fault", ["rollup.written", "rollup.committed"])
def test_a_roll_up_that_is_killed_counts_nothing_twice(fault: str) -> None:
    store_many(6_000, done_at=NINE)

    assert _command(fault) == -signal.SIGKILL
    assert counts().total() == {"rollup.written": 0, "rollup.committed": 5_000}[fault]

    assert _command() == 0
    assert counts().total() == 6_000
    assert sum(RollUpTotal.objects.values_list("count", flat=True)) == 6_000


def test_two_roll_ups_at_once_count_each_result_once() -> None:
    store_many(12_000, done_at=NINE)

    def one(_: int) -> int:
        try:
            return gathering.roll_up(budget=timedelta(minutes=1)).counted
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(one, range(2))) == 12_000

    assert counts().total() == 12_000
    assert sum(RollUpTotal.objects.values_list("count", flat=True)) == 12_000


@postgresql
def test_a_clean_up_leaves_what_is_not_counted_yet() -> None:
    """It has never been possible to count, because a transaction that writes results does not end."""
    stored, commit = Event(), Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                store(done_at=LONG_AGO)
                stored.set()
                assert commit.wait(120)
        finally:
            connection.close()

    store(done_at=LONG_AGO)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(slow)
        assert stored.wait(120)
        retention.prune(now=timezone.now())
        assert TaskResult.objects.count() == 1
        commit.set()
        writing.result()
    assert TaskResult.objects.count() == 2


def test_a_clean_up_counts_first_what_it_removes() -> None:
    store(done_at=LONG_AGO)

    retention.prune(now=timezone.now())

    assert not TaskResult.objects.exists()
    assert counts().total() == 1


def test_roll_ups_go_after_their_own_time() -> None:
    store(done_at=timezone.now() - timedelta(days=731))
    store(done_at=timezone.now() - timedelta(days=729))

    retention.prune(now=timezone.now())

    assert counts().total() == 1


def test_ten_thousand_results_are_counted_exactly() -> None:
    store_many(10_000, done_at=NINE)
    TaskResult.objects.filter(pk__in=TaskResult.objects.values("pk")[:3_000]).update(date_done=F("date_done") + HOUR)

    roll_up()

    raw = Counter(
        row.replace(minute=0, second=0, microsecond=0) for row in TaskResult.objects.values_list("date_done", flat=True)
    )
    assert Counter({row.hour: row.count for row in RollUp.objects.all()}) == raw


@given(st.lists(st.integers(min_value=0, max_value=10**13), min_size=1), st.sampled_from([1, 50, 95, 99, 100]))
def test_percentiles_are_at_most_five_per_cent_off(durations: list[int], percent: int) -> None:
    share = Fraction(percent, 100)
    exact = sorted(durations)[max(-(-len(durations) * share.numerator // share.denominator), 1) - 1]

    found = histogram.percentile(Counter(map(histogram.bucket, durations)), share)

    assert found is not None
    assert abs(found / timedelta(microseconds=1) - exact) <= exact * 0.05 + 0.5


def _command(fault: str = "") -> int:
    command = [sys.executable, "manage.py", "roll_up"]
    return subprocess.run(
        command, cwd=ROOT, env={**environment(), "TASKYARD_FAULT": fault}, timeout=120, check=False
    ).returncode
