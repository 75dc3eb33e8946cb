"""Who lives, who is dead, and who says so."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings

from routing.ledger import processes
from routing.ledger.processes import BEAT_EVERY, DEAD_AFTER, Observer
from routing.ledger.tables import Message, Process
from tests.services import DATABASE, Postgresql

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    """Time that passes when we say so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watch:
    """An observer whose time we move."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.observer = Observer(clock=self.clock)

    def observe_for(self, seconds: float, *, beating: int | None = None) -> list[int]:
        """Observe as often as one should, while this process beats; who was declared dead."""
        declared, until = self.observer.observe(), self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += BEAT_EVERY
            if beating is not None:
                processes.beat(beating)
            declared += self.observer.observe()
        return declared


@pytest.fixture(autouse=True)
def own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.VAR = tmp_path


@pytest.fixture
def watch() -> Watch:
    return Watch()


def worker(name: str = "reporting@here") -> int:
    return processes.register("worker", name, queues=["reporting"])


def test_each_start_is_a_new_incarnation() -> None:
    first, second = worker(), worker()

    assert first != second
    row = Process.objects.get(pk=second)
    assert (row.role, row.name, row.queues, row.pid) == ("worker", "reporting@here", '["reporting"]', os.getpid())
    assert row.version.count(".") == 2
    assert abs(timezone.now() - row.beat_at) < timedelta(seconds=10)


def test_a_beat_tells_how_it_is() -> None:
    own = worker()
    Process.objects.update(beat_at=Now() - timedelta(hours=1))

    assert processes.beat(own, consuming=False, trouble="It has no broker.")

    row = Process.objects.get()
    assert (row.consuming, row.trouble) == (False, "It has no broker.")
    assert timezone.now() - row.beat_at < timedelta(seconds=10)


def test_who_was_declared_dead_or_is_gone_learns_it_from_its_beat() -> None:
    dead, gone = worker(), worker()
    Process.objects.filter(pk=dead).update(dead_at=Now())
    Process.objects.filter(pk=gone).delete()

    assert not processes.beat(dead)
    assert not processes.beat(gone)


def test_leaving_removes_the_own_row_only() -> None:
    own, other = worker(), worker()

    processes.leave(own)
    processes.leave(own)

    assert [row.pk for row in processes.live("worker")] == [other]


def test_who_stops_beating_is_declared_dead_and_who_beats_is_not(watch: Watch) -> None:
    silent, lively = worker(), worker()

    assert watch.observe_for(DEAD_AFTER - BEAT_EVERY, beating=lively) == []
    assert watch.observe_for(2 * BEAT_EVERY, beating=lively) == [silent]
    assert Process.objects.get(pk=silent).dead_at is not None
    assert Process.objects.get(pk=lively).dead_at is None


def test_a_death_is_declared_once(watch: Watch) -> None:
    worker()
    second = Watch()
    watch.observe_for(DEAD_AFTER - BEAT_EVERY)
    second.observe_for(DEAD_AFTER - BEAT_EVERY)

    declared = [watch.observe_for(2 * BEAT_EVERY), second.observe_for(2 * BEAT_EVERY)]

    assert [len(one) for one in declared] == [1, 0]


def test_the_age_of_a_beat_alone_says_nothing(watch: Watch) -> None:
    worker()
    Process.objects.update(beat_at=Now() - timedelta(days=3))

    assert watch.observe_for(DEAD_AFTER - BEAT_EVERY) == []


def test_an_observer_that_was_frozen_gives_everybody_the_full_time_again(watch: Watch) -> None:
    silent = worker()
    watch.observe_for(DEAD_AFTER - BEAT_EVERY)

    watch.clock.now += 3600

    assert watch.observe_for(DEAD_AFTER - BEAT_EVERY) == []
    assert watch.observe_for(2 * BEAT_EVERY) == [silent]


class Away:
    """A database that is away while ``now``; or that reads, and cannot write."""

    def __init__(self, *, reads: bool = False) -> None:
        self.reads, self.now = reads, True

    def __call__(self, execute: Any, sql: str, *arguments: Any) -> Any:
        if self.now and not (self.reads and sql.startswith("SELECT") and "txid" not in sql):
            raise OperationalError("server closed the connection")
        return execute(sql, *arguments)


@pytest.fixture
def away() -> Iterator[Away]:
    outage = Away()
    outage.now = False
    with connection.execute_wrapper(outage):
        yield outage


def test_a_database_outage_gives_everybody_the_full_time_again(watch: Watch, away: Away) -> None:
    silent = worker()
    watch.observe_for(DEAD_AFTER - BEAT_EVERY)
    away.now = True
    watch.clock.now += BEAT_EVERY
    with pytest.raises(OperationalError):
        watch.observer.observe()
    away.now = False

    assert watch.observe_for(DEAD_AFTER - BEAT_EVERY) == []
    assert watch.observe_for(2 * BEAT_EVERY) == [silent]


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite's transactions begin with the write lock")
def test_a_database_that_reads_and_cannot_write_counts_as_away(watch: Watch, away: Away) -> None:
    worker()
    away.now, away.reads = True, True

    with pytest.raises(OperationalError):
        watch.observe_for(2 * DEAD_AFTER)


class BeatBefore:
    """A beat that gets in just before the first statement of this kind."""

    def __init__(self, statement: str, process_id: int) -> None:
        self.statement, self.process_id = statement, process_id

    def __call__(self, execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(self.statement) and self.process_id:
            own, self.process_id = self.process_id, 0
            processes.beat(own)
        return execute(sql, *arguments)


def test_a_beat_in_the_last_moment_wins(watch: Watch) -> None:
    own = worker()
    watch.observe_for(DEAD_AFTER - BEAT_EVERY)
    watch.clock.now += BEAT_EVERY

    with connection.execute_wrapper(BeatBefore("UPDATE", own)):
        assert watch.observe_for(2 * BEAT_EVERY) == []

    assert Process.objects.get(pk=own).dead_at is None


def test_the_dead_are_forgotten_after_a_day_unless_they_own_something(watch: Watch) -> None:
    long_dead, lately, owner = worker(), worker(), worker()
    Process.objects.filter(pk__in=[long_dead, owner]).update(dead_at=Now() - timedelta(days=1, seconds=1))
    Process.objects.filter(pk=lately).update(dead_at=Now() - timedelta(hours=23))
    now = timezone.now()
    Message.objects.create(
        id="m", task="t", domain="d", queue="q", headers="{}", body="[]", owner=owner, due_at=now, created_at=now
    )

    watch.observer.observe()

    assert set(Process.objects.values_list("pk", flat=True)) == {lately, owner}


def test_a_restarted_database_declares_nobody_dead(watch: Watch, database_server: Postgresql | None) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server that could be away")
    own = worker()
    watch.observe_for(DEAD_AFTER - BEAT_EVERY)
    database_server.stop()
    with pytest.raises(OperationalError):
        watch.observer.observe()
    connection.close()
    database_server.start()

    assert watch.observe_for(DEAD_AFTER - BEAT_EVERY) == []
    assert processes.beat(own)
