"""A beat's process row."""

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings

from routing import alive
from routing.ledger.tables import Process
from routing.schedule import last_beat
from routing.schedule.presence import Presence

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def presence(monkeypatch: pytest.MonkeyPatch) -> Presence:
    monkeypatch.setattr("routing.ledger.processes.BEAT_EVERY", 0)
    return Presence()


def aged(**age: float) -> Process:
    """The last beat, made that much older."""
    Process.objects.update(beat_at=Now() - timedelta(**age))
    beat = last_beat()
    assert beat is not None
    return beat


def test_nothing_is_known_before_the_first_beat() -> None:
    assert last_beat() is None


def test_a_beat_shows_host_and_time(presence: Presence) -> None:
    presence.beat()

    beat = last_beat()
    assert beat is not None
    assert beat.host == socket.gethostname()
    assert abs(timezone.now() - beat.beat_at) < timedelta(seconds=10)


def test_each_beat_renews_the_row(presence: Presence) -> None:
    presence.beat()
    before = aged(hours=1)

    presence.beat()

    after = last_beat()
    assert after is not None
    assert (after.pk, after.started_at) == (before.pk, before.started_at)
    assert after.beat_at - before.beat_at > timedelta(minutes=59)


def test_beats_are_throttled() -> None:
    presence = Presence()
    presence.beat()
    before = aged(hours=1)

    presence.beat()

    assert last_beat() == before
    assert Process.objects.get().beat_at == before.beat_at


def test_a_process_of_the_same_number_is_a_new_incarnation_and_takes_the_place_of_the_old(presence: Presence) -> None:
    presence.beat()
    before = aged(days=3)

    Presence().beat()

    after = Process.objects.get()
    assert after.pk != before.pk
    assert timezone.now() - after.started_at < timedelta(minutes=1)


def test_one_that_was_declared_dead_registers_anew(presence: Presence) -> None:
    presence.beat()
    Process.objects.update(dead_at=Now())

    presence.beat()

    assert Process.objects.filter(dead_at=None).count() == 1


def test_a_row_that_was_pruned_comes_back(presence: Presence) -> None:
    presence.beat()
    Process.objects.all().delete()

    presence.beat()

    assert last_beat() is not None


def test_arriving_prunes_rows_of_the_dead_after_a_day(presence: Presence) -> None:
    for pid, age in ((1, timedelta(hours=23)), (2, timedelta(hours=25))):
        Process.objects.create(role=Process.Role.BEAT, host="elsewhere", pid=pid, beat_at=Now() - age)

    presence.beat()

    assert set(Process.objects.filter(host="elsewhere").values_list("pid", flat=True)) == {1}


def test_arriving_forgets_a_late_beat_of_this_host_whose_place_it_takes(presence: Presence) -> None:
    late = Now() - Process.LATE_AFTER - timedelta(seconds=1)
    Process.objects.create(role=Process.Role.BEAT, host=socket.gethostname(), pid=1, beat_at=late)

    presence.beat()

    assert set(Process.objects.values_list("pid", flat=True)) == {os.getpid()}


def test_the_probe_of_supervisors_finds_it_until_it_leaves(presence: Presence, settings: Settings) -> None:
    presence.beat()
    assert alive.complaint(settings.VAR / "alive", "beat") == ""

    presence.leave()
    assert "has run here" in alive.complaint(settings.VAR / "alive", "beat")


def test_leaving_removes_the_own_row_only(presence: Presence) -> None:
    Process.objects.create(role=Process.Role.BEAT, host="elsewhere", pid=1)
    presence.beat()

    presence.leave()

    assert [row.host for row in Process.objects.all()] == ["elsewhere"]


class Unreachable:
    """A database that is away: every statement fails."""

    def __call__(self, *_: Any) -> Any:
        raise OperationalError("server closed the connection")


@pytest.fixture
def unreachable() -> Iterator[None]:
    with connection.execute_wrapper(Unreachable()):
        yield


def test_a_database_that_is_away_is_told_once_and_does_no_harm(
    presence: Presence, unreachable: None, caplog: pytest.LogCaptureFixture
) -> None:
    presence.beat()
    presence.beat()

    assert [record.getMessage() for record in caplog.records] == [
        "Cannot write this beat's row yet. server closed the connection"
    ]
