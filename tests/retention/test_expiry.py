"""The clean-up: what is past its retention goes, and nothing else."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from celery import states
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import ChordCounter, GroupResult, TaskResult

from routing.domains import Domain, Registry, Retention
from routing.ledger import retention, tally
from routing.ledger.retention import What
from routing.ledger.tables import DeadLetter, UniqueKey
from routing.tasks import cleanup
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db

NOW = timezone.now()
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def domains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days that successes and failures are kept: 2 and 5 by billing, 10 and 20 by shipping, 30 and 90 by default."""
    registry = Registry(
        [
            Domain(name="billing", retention=Retention(success=2 * DAY, failure=5 * DAY)),
            Domain(name="shipping", retention=Retention(success=10 * DAY, failure=20 * DAY)),
        ]
    )
    monkeypatch.setattr("routing.ledger.retention.policy.registry", lambda: registry)


def of(rows: int) -> retention.Pace:
    """Batches of so many rows, without a rest."""
    return retention.Pace(rows=rows, most=rows, rest=0)


@pytest.mark.parametrize(
    ("task", "status", "kept_for"),
    [
        ("billing.charge", states.SUCCESS, 2 * DAY),
        ("billing.charge", states.FAILURE, 5 * DAY),
        ("billing.charge", states.REVOKED, 5 * DAY),
        ("billing.charge", states.IGNORED, 2 * DAY),
        ("shipping.pack", states.SUCCESS, 10 * DAY),
        ("shipping.pack", states.FAILURE, 20 * DAY),
        ("nobodys.task", states.SUCCESS, 30 * DAY),
        ("nobodys.task", states.FAILURE, 90 * DAY),
        (None, states.SUCCESS, 30 * DAY),
    ],
)
def test_a_result_goes_when_its_retention_is_over(task: str | None, status: str, kept_for: timedelta) -> None:
    store(task, status=status, done_at=NOW - kept_for - MOMENT)
    kept = store(task, status=status, done_at=NOW - kept_for)

    retention.prune(now=NOW)

    assert list(TaskResult.objects.all()) == [kept]


@pytest.mark.parametrize("other", ["nobodys.task", None])
def test_tasks_that_no_domain_claims_go_from_among_those_that_one_does(other: str | None) -> None:
    for done_at in (NOW - 40 * DAY, NOW - 39 * DAY, NOW - 38 * DAY):
        store("billing.charge", done_at=done_at)
        store(other, done_at=done_at)
    kept = {store(task, done_at=NOW - DAY) for task in ("billing.charge", other)}

    pruned = retention.prune(now=NOW, pace=of(4))

    assert pruned.removed[What("results", "billing", "success")] == 3
    assert pruned.removed.total() == 6
    assert set(TaskResult.objects.all()) == kept


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one statement for all")
@pytest.mark.parametrize(("others", "looks"), [([], 0), (["nobodys.task"], 1), ([None], 1)])
def test_what_every_domain_claims_is_looked_for_once(others: list[str | None], looks: int) -> None:
    for task in ("billing.charge", *others):
        store(task, done_at=NOW - 40 * DAY)

    with CaptureQueriesContext(connection) as statements:
        retention.prune(now=NOW)

    found = [sql for sql in (one["sql"] for one in statements) if "SKIP LOCKED" in sql and "USING found" in sql]
    # One walk for each of the six ages.
    assert len(found) == 6 * looks
    assert not TaskResult.objects.exists()


@pytest.mark.parametrize("status", [states.PENDING, states.STARTED, states.RETRY, "PROGRESS"])
def test_a_task_without_an_outcome_stays_however_old(status: str) -> None:
    kept = store("billing.charge", status=status, done_at=NOW - 999 * DAY)

    retention.prune(now=NOW)

    assert TaskResult.objects.filter(pk=kept.pk).exists()


def test_it_tells_what_went_by_kind() -> None:
    for _ in range(3):
        store("billing.charge", done_at=NOW - 3 * DAY)
    store("shipping.pack", status=states.FAILURE, done_at=NOW - 30 * DAY)

    pruned = retention.prune(now=NOW)

    assert pruned.removed == {What("results", "billing", "success"): 3, What("results", "shipping", "failure"): 1}
    assert pruned.complete


def test_what_goes_is_counted_in_the_books_of_its_domain() -> None:
    for _ in range(3):
        store("billing.charge", done_at=NOW - 3 * DAY, domain="billing")
    store("billing.charge", done_at=NOW - 3 * DAY, domain="moved since")
    store("billing.charge", done_at=NOW - 3 * DAY)

    retention.prune(now=NOW, pace=of(2))

    assert {domain: books.pruned for domain, books in tally.books().items()} == {"billing": 3, "moved since": 1}


@pytest.mark.parametrize(("domain", "kept_for"), [("billing", 5 * DAY), ("shipping", 20 * DAY), ("gone", 90 * DAY)])
def test_a_dead_letter_is_kept_as_long_as_its_domains_failures(domain: str, kept_for: timedelta) -> None:
    for name, age in (("kept", kept_for - MOMENT), ("old", kept_for + MOMENT)):
        DeadLetter.objects.create(
            task_id=name, task="any", domain=domain, queue="q", headers="", body="", reason="failed", dead_at=NOW - age
        )

    retention.prune(now=NOW)

    assert [letter.task_id for letter in DeadLetter.objects.all()] == ["kept"]


def test_a_unique_key_goes_when_its_period_and_its_task_are_over() -> None:
    UniqueKey.objects.create(key="over", task_id="gone", expires_at=NOW - DAY)
    UniqueKey.objects.create(key="in its period", task_id="gone", expires_at=NOW + DAY)
    UniqueKey.objects.create(key="in flight", task_id=in_flight().pk, expires_at=NOW - DAY)

    retention.prune(now=NOW)

    assert set(UniqueKey.objects.values_list("key", flat=True)) == {"in its period", "in flight"}


def test_a_second_run_finds_nothing_left() -> None:
    store("billing.charge", done_at=NOW - 3 * DAY)
    retention.prune(now=NOW)

    assert not retention.prune(now=NOW).removed.total()


def test_batches_leave_nothing_over_when_times_are_equal_or_kept_rows_lie_between() -> None:
    for hours in (100, 90, 90, 90, 90, 80, 70):
        store("billing.charge", done_at=NOW - timedelta(hours=hours))
        store("billing.charge", status=states.FAILURE, done_at=NOW - timedelta(hours=hours))

    retention.prune(now=NOW, pace=of(2))

    assert set(TaskResult.objects.values_list("status", flat=True)) == {states.FAILURE}
    assert TaskResult.objects.count() == 7


def test_it_stops_when_its_time_is_up_and_goes_on_next_time() -> None:
    for _ in range(5):
        store("billing.charge", done_at=NOW - 3 * DAY)

    first = retention.prune(now=NOW, pace=of(2), budget=timedelta())
    assert not first.complete
    assert TaskResult.objects.count() == 3

    assert retention.prune(now=NOW).complete
    assert not TaskResult.objects.exists()


@pytest.fixture
def listeners() -> Iterator[list[Any]]:
    """Receivers of every model's delete signals, such as audit packages have."""
    heard: list[Any] = []

    def hear(instance: Any, **_: Any) -> None:
        heard.append(instance)

    for signal in (pre_delete, post_delete):
        signal.connect(hear)
    yield heard
    for signal in (pre_delete, post_delete):
        signal.disconnect(hear)


def test_receivers_of_delete_signals_make_it_load_no_rows(listeners: list[Any]) -> None:
    """However many go, it takes the same statements."""
    retention.prune(now=NOW)
    asked = []
    for count in (10, 40):
        for _ in range(count):
            store("billing.charge", done_at=NOW - 3 * DAY)
        with CaptureQueriesContext(connection) as queries:
            retention.prune(now=NOW)
        asked.append(len(queries))
        assert not any("traceback" in query["sql"] for query in queries.captured_queries)

    assert listeners == []
    assert not TaskResult.objects.exists()
    assert asked[0] == asked[1]


def test_a_group_goes_when_no_members_result_can_be_left() -> None:
    for age in (89 * DAY, 91 * DAY):
        group = GroupResult.objects.create(group_id=str(age), result="[]")
        GroupResult.objects.filter(pk=group.pk).update(date_done=NOW - age)

    retention.prune(now=NOW)

    assert [group.group_id for group in GroupResult.objects.all()] == [str(89 * DAY)]


def chord(*members: TaskResult, named: str = "") -> ChordCounter:
    parts = [[[row.task_id, None], None] for row in members]
    return ChordCounter.objects.create(group_id=named or str(uuid4()), sub_tasks=json.dumps(parts), count=1)


def test_a_chord_is_lost_a_day_after_its_last_member_ended() -> None:
    chord(store("shipping.pack", done_at=NOW - 2 * DAY))
    kept = chord(store("shipping.pack", done_at=NOW - 2 * DAY), store("shipping.pack", done_at=NOW - DAY / 2))

    retention.prune(now=NOW)

    assert list(ChordCounter.objects.all()) == [kept]


def test_a_chord_with_an_unfinished_member_stays() -> None:
    kept = chord(
        store("shipping.pack", done_at=NOW - 9 * DAY),
        store("shipping.pack", done_at=NOW - 9 * DAY, status=states.PENDING),
    )

    retention.prune(now=NOW)

    assert list(ChordCounter.objects.all()) == [kept]


def test_a_chord_with_a_member_in_flight_stays() -> None:
    ended, waiting = store("shipping.pack", done_at=NOW - 9 * DAY), in_flight("shipping.pack")
    parts = [[[task_id, None], None] for task_id in (ended.task_id, waiting.pk)]
    kept = ChordCounter.objects.create(group_id="waits", sub_tasks=json.dumps(parts), count=1)

    retention.prune(now=NOW)

    assert list(ChordCounter.objects.all()) == [kept]


def test_a_chord_without_members_goes_only_if_a_younger_one_is_old() -> None:
    chord()
    old = chord(store("shipping.pack", done_at=NOW - 2 * DAY, status=states.STARTED))
    brand_new = chord()

    retention.prune(now=NOW)

    assert set(ChordCounter.objects.all()) == {old, brand_new}


def test_a_chord_is_judged_by_the_members_of_groups_within_it() -> None:
    row = store("shipping.pack", done_at=NOW - 9 * DAY, status=states.STARTED)
    parts = [[["inner-group", None], [[[row.task_id, None], None]]]]
    kept = ChordCounter.objects.create(group_id="outer", sub_tasks=json.dumps(parts), count=1)

    retention.prune(now=NOW)

    assert list(ChordCounter.objects.all()) == [kept]


def test_expired_sessions_go() -> None:
    for key, expires in (("old", NOW - MOMENT), ("live", NOW + DAY)):
        Session.objects.create(session_key=key, expire_date=expires)

    retention.prune(now=NOW)

    assert [session.pk for session in Session.objects.all()] == ["live"]


@pytest.fixture
def cache_table(settings: Any) -> str:
    call_command("createcachetable", verbosity=0)
    return str(settings.CACHES["default"]["LOCATION"])


def test_expired_cache_entries_go(cache_table: str) -> None:
    cache.set("live", 1, timeout=3600)
    cache.set("endless", 1, timeout=None)
    cache.set("old", 1, timeout=60)

    pruned = retention.prune(now=timezone.now() + timedelta(minutes=5))

    assert pruned.removed == {What("cache entries"): 1}
    assert set(cache.get_many(["live", "endless", "old"])) == {"live", "endless"}


def test_a_cache_elsewhere_is_none_of_its_business(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

    assert retention.prune(now=NOW).complete


def test_a_cache_table_that_was_never_made_is_passed_over(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "not_made"}}

    assert retention.prune(now=NOW).complete


def test_the_task_tells_what_it_removed() -> None:
    store("billing.charge", done_at=NOW - 3 * DAY)

    told = cleanup()

    assert told["removed"] == [{"kind": "results", "domain": "billing", "outcome": "success", "rows": 1}]


def test_a_dry_run_counts_and_removes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    store("billing.charge", done_at=NOW - 3 * DAY)

    call_command("cleanup", "--dry-run")

    assert re.search(r"results .* billing .* success .* 1 ", capsys.readouterr().out)
    assert TaskResult.objects.count() == 1


def test_the_command_says_so_when_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("cleanup")

    assert capsys.readouterr().out == "Nothing is past its retention.\n"


@pytest.mark.django_db(transaction=True)
def test_two_clean_ups_at_once_remove_each_row_once() -> None:
    for _ in range(60):
        store("billing.charge", done_at=NOW - 3 * DAY)
    told: list[retention.Pruned] = []

    def prune() -> None:
        told.append(retention.prune(now=NOW, pace=of(3)))
        connection.close()

    threads = [Thread(target=prune) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(pruned.removed[What("results", "billing", "success")] for pruned in told) == 60
    assert not TaskResult.objects.exists()
