"""What is published again: on evidence that the broker has lost it, or that its owner died."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.broker import evidence, topology
from routing.broker.relay import Relay
from routing.domains import Domain, Registry, registry
from routing.ledger import database, marker, outbox, redrive
from routing.ledger.tables import BrokerMarker, DeadLetter, Message, Outbox, Process
from tests.relay.ledger import ago, dead_process, epochs, held, living_process, publication, ready, waiting
from tests.waiting import until

pytestmark = pytest.mark.broker

MakeRelay = Callable[..., Relay]


def _delete(connection: Connection, queue: str) -> None:
    with connection.channel() as channel:
        channel.queue_delete(queue)  # type: ignore[attr-defined]


def _delete_marker(connection: Connection) -> None:
    _delete(connection, evidence.PREFIX + marker.current().name)


# --- Marker -----------------------------------------------------------------------------------------------------------


def test_a_relay_leaves_a_marker_and_finds_it_again(relay: Relay, clean_broker: Connection) -> None:
    relay.run_once()

    assert ready(clean_broker, evidence.PREFIX + marker.current().name) == 1
    assert not evidence.examine(clean_broker, registry())


def test_with_the_marker_gone_all_is_published_again_under_a_new_epoch(
    relay_of: MakeRelay, clean_broker: Connection
) -> None:
    first, second = waiting("reporting"), waiting("notifications")
    relay_of().run_once()
    clean_broker.default_channel.queue_purge("reporting")  # type: ignore[attr-defined]
    _delete_marker(clean_broker)

    relay_of().run_once()

    assert epochs(clean_broker, "reporting") == [(first[0].pk, 2)]
    assert epochs(clean_broker, "notifications") == [(second[0].pk, 1), (second[0].pk, 2)]
    assert BrokerMarker.objects.get().losses == 2
    assert ready(clean_broker, evidence.PREFIX + marker.current().name) == 1


def test_a_running_relay_notices_within_its_examination(relay: Relay, clean_broker: Connection) -> None:
    waiting()
    relay.run_once()
    _delete_marker(clean_broker)
    relay._examined_at = float("-inf")

    relay.run_once()

    assert [epoch for _, epoch in epochs(clean_broker, "reporting")] == [1, 2]


def test_a_purged_queue_is_no_evidence(relay_of: MakeRelay, clean_broker: Connection) -> None:
    waiting()
    relay_of().run_once()
    clean_broker.default_channel.queue_purge("reporting")  # type: ignore[attr-defined]

    relay_of().run_once()

    assert Message.objects.get().epoch == 1
    assert not Outbox.objects.exists()


def test_several_who_find_the_same_loss_lose_nothing(relay_of: MakeRelay, clean_broker: Connection) -> None:
    (message,) = waiting()
    relay_of().run_once()
    _delete_marker(clean_broker)
    redrive.after_loss()
    redrive.after_loss()

    relay_of().run_once()

    current = Message.objects.get()
    assert (message.pk, current.epoch) in epochs(clean_broker, "reporting")


# --- Queues -----------------------------------------------------------------------------------------------------------


def test_a_queue_deleted_under_a_running_relay_is_declared_and_what_it_held_published_again(
    relay: Relay, clean_broker: Connection
) -> None:
    lost, elsewhere = waiting("reporting"), waiting("notifications")
    relay.run_once()
    _delete(clean_broker, "reporting")
    relay._windows.forget()
    later = waiting("reporting")

    for _ in range(3):
        relay.run_once()

    assert sorted(epochs(clean_broker, "reporting")) == sorted([(lost[0].pk, 2), (later[0].pk, 1)])
    assert epochs(clean_broker, "notifications") == [(elsewhere[0].pk, 1)]


def test_what_comes_back_from_a_deleted_queue_goes_out_later(relay: Relay, clean_broker: Connection) -> None:
    waiting("reporting")
    relay.run_once()
    _delete(clean_broker, "reporting")
    (returned,) = waiting("reporting")

    relay.run_once()

    row = Outbox.objects.get(message_id=returned.pk)
    assert (row.failures, row.reason) == (1, "RabbitMQ has no queue reporting. Declare it: manage.py topology apply")


def test_whoever_declares_a_missing_queue_has_its_tasks_published_again(relay: Relay, clean_broker: Connection) -> None:
    (message,) = waiting()
    relay.run_once()
    _delete(clean_broker, "reporting")

    topology.declare(clean_broker, registry())

    assert Outbox.objects.get().epoch == Message.objects.get(pk=message.pk).epoch == 2


def test_a_batch_that_began_before_a_loss_was_recorded_does_not_commit(transactional_db: None) -> None:
    waiting()
    marker.current()

    with pytest.raises(marker.Overtaken), outbox.batch("reporting", limit=9, max_bytes=10_000):
        _elsewhere(marker.record_loss)

    assert Outbox.objects.count() == 1


def test_a_loss_is_recorded_after_the_batch_that_is_about_to_commit(transactional_db: None) -> None:
    if not database.on_postgresql():
        pytest.skip("SQLite has one lock for all")
    waiting()
    recording = threading.Thread(target=_closing(redrive.after_loss))
    with database.atomic(), outbox.batch("reporting", limit=9, max_bytes=10_000):
        marker.hold(marker.current().losses)
        recording.start()
        until(_somebody_waits, what="the one who records the loss")

    recording.join()
    assert Outbox.objects.get().epoch == 2


def _somebody_waits() -> bool:
    return bool(database.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))


def _elsewhere(act: Callable[[], object]) -> None:
    """On a connection of its own, as another process has."""
    thread = threading.Thread(target=_closing(act))
    thread.start()
    thread.join()


def _closing(act: Callable[[], object]) -> Callable[[], None]:
    def closing() -> None:
        try:
            act()
        finally:
            database.connection().close()

    return closing


def test_only_what_waits_on_the_broker_is_published_again(transactional_db: None) -> None:
    (unowned,) = waiting(publish=False, attempt=2)
    waiting(publish=False, owner=living_process().pk, state="STARTED")
    waiting(publish=False, owner=dead_process().pk, state="STARTED")
    waiting(publish=False, state="REPLACED")
    (to_be_published,) = waiting()
    (stale,) = waiting(epoch=2, publish=False)
    publication(stale, epoch=1).save()

    assert redrive.after_loss(["reporting"]) == 2

    again = {(row.message_id, row.epoch) for row in Outbox.objects.all()}
    assert again == {(unowned.pk, 2), (to_be_published.pk, 1), (stale.pk, 1), (stale.pk, 3)}
    assert Message.objects.get(pk=unowned.pk).state == "RETRY"


def test_a_large_loss_is_put_right_in_batches(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive, "BATCH", 7)
    waiting(publish=False, count=30)

    assert redrive.after_loss() == 30

    assert Outbox.objects.filter(epoch=2).count() == 30


# --- Owners -----------------------------------------------------------------------------------------------------------


def test_what_a_dead_owner_ran_is_published_again(transactional_db: None) -> None:
    values: dict[str, Any] = {"publish": False, "owner": dead_process().pk, "pid": 5, "state": "STARTED", "runs": 1}
    (first,), (third,) = waiting(**values), waiting(**values, attempt=3)
    (forgotten,) = waiting(publish=False, owner=4711, state="STARTED", runs=1)

    assert redrive.of_dead_owners() == 3

    for message, state in ((first, "PENDING"), (third, "RETRY"), (forgotten, "PENDING")):
        message.refresh_from_db()
        assert (message.epoch, message.owner, message.pid, message.state, message.runs) == (2, None, None, state, 1)
        assert Outbox.objects.filter(message_id=message.pk, epoch=2).exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no locks on rows")
@pytest.mark.parametrize("at_most_once", [False, True])
def test_what_a_dead_owner_still_holds_keeps_no_other_from_being_given_out(
    transactional_db: None, *, at_most_once: bool
) -> None:
    """It stands still in the midst of an atomic task, or its machine is gone and PostgreSQL has not noticed."""
    values: dict[str, Any] = {"publish": False, "owner": dead_process().pk, "state": "STARTED", "runs": 1}
    (kept,), _ = waiting(**values, at_most_once=at_most_once), waiting(**values)

    with held(kept):
        assert redrive.of_dead_owners() == 1
    assert connection.vendor == "postgresql"

    assert redrive.of_dead_owners() == 1


def test_what_the_living_run_is_left_alone(transactional_db: None) -> None:
    waiting(publish=False, owner=living_process().pk, state="STARTED", runs=9, at_most_once=True)

    assert redrive.of_dead_owners() == 0

    assert Message.objects.get().epoch == 1


def test_what_may_start_only_once_has_failed_when_its_worker_died(transactional_db: None) -> None:
    (message,) = waiting(publish=False, owner=dead_process().pk, state="STARTED", runs=1, at_most_once=True)

    redrive.of_dead_owners()

    assert not Message.objects.exists()
    result = TaskResult.objects.get(task_id=message.pk)
    assert result.status == "FAILURE"
    assert '"reason": "crashed"' in str(result.meta)
    assert DeadLetter.objects.get().reason == "crashed"


def test_what_killed_its_workers_too_often_is_poison(transactional_db: None) -> None:
    limit = registry().domains[1].run_limit
    (message,) = waiting(publish=False, owner=dead_process().pk, state="STARTED", runs=limit)
    waiting(publish=False, owner=dead_process().pk, state="STARTED", runs=limit - 1)

    redrive.of_dead_owners()

    assert TaskResult.objects.get().task_id == message.pk
    assert (DeadLetter.objects.get().reason, DeadLetter.objects.get().runs) == ("poison", limit)
    assert Outbox.objects.count() == 1


def test_a_task_that_has_moved_goes_by_the_domain_that_claims_it_now(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (patient,) = waiting(publish=False, owner=dead_process().pk, state="STARTED", runs=7, domain="left")
    (hasty,) = waiting(publish=False, owner=dead_process().pk, state="STARTED", runs=3, domain="left", task="hasty.one")
    moved = [
        Domain(name="patient", tasks=(patient.task,), run_limit=9),
        Domain(name="hasty", run_limit=3),
        Domain(name="left", tasks=("left.never",), run_limit=5),
    ]
    monkeypatch.setattr(redrive, "registry", lambda: Registry(moved))

    assert redrive.of_dead_owners() == 2

    assert Outbox.objects.get().message_id == patient.pk
    assert (DeadLetter.objects.get().task_id, DeadLetter.objects.get().reason) == (hasty.pk, "poison")


def test_a_task_that_cannot_be_given_up_holds_up_no_other(transactional_db: None) -> None:
    owner = dead_process().pk
    waiting(publish=False, owner=owner, runs=1, at_most_once=True, headers="no JSON")
    waiting(publish=False, owner=owner, runs=1, at_most_once=True)
    waiting(publish=False, owner=owner, runs=1)

    assert redrive.of_dead_owners() == 2

    assert Process.objects.get().dead_at is not None
    assert Message.objects.filter(owner=owner).count() == 1
    assert ago(seconds=0) > DeadLetter.objects.get().dead_at
