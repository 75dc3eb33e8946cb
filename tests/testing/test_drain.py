"""``routing.testing`` in the transaction of a test, which is never committed, and without any broker."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.test import TestCase
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.errors import PermanentError
from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message, Outbox, Process
from routing.pytest_plugin import Taskyard
from routing.refusals import NotCommitted
from routing.testing import Endless, UnknownTask, assert_enqueued, drain, enqueued
from tests import probe as typed_probe
from tests.testing import tasks as typed_tasks

probe: Any = typed_probe
"""Celery's stubs know none of our options."""
tasks: Any = typed_tasks

HOUR = timedelta(hours=1)


class InATestCase(TestCase):
    def test_what_is_enqueued_runs_and_leaves_its_outcome(self) -> None:
        handle = probe.add.delay(1, 2)

        (ran,) = drain()

        assert (ran.id, ran.name, ran.state, ran.result) == (handle.id, "reporting.probe_add", "SUCCESS", 3)
        assert handle.get() == 3
        assert enqueued() == []

    def test_no_commit_takes_place_and_the_next_test_begins_anew(self) -> None:
        assert not Message.objects.exists()
        assert not TaskResult.objects.exists()
        probe.add.delay(1, 2)


def test_enqueued_tells_what_was_asked_for_in_order(taskyard: Taskyard) -> None:
    before = timezone.now()
    probe.add.apply_async((1,), {"second": 2}, countdown=3600, queue="notifications.urgent", priority=5)
    probe.report.apply_async(("j",), link=probe.add.s(1), time_limit=9, expires=60)

    first, second = taskyard.enqueued()

    assert (first.name, first.args, first.kwargs) == ("reporting.probe_add", [1], {"second": 2})
    assert (first.queue, first.options["priority"]) == ("notifications.urgent", 5)
    assert HOUR <= first.due_at - before < HOUR + timedelta(minutes=1)
    assert second.options["time_limit"] == 9
    assert [link["task"] for link in second.options["link"]] == ["reporting.probe_add"]
    assert second.options["expires"] > before


def test_enqueued_lists_one_tasks_alone_by_name_or_by_itself(taskyard: Taskyard) -> None:
    probe.add.delay(1, 2)
    probe.total.delay([1])

    assert [one.args for one in taskyard.enqueued("reporting.probe_add")] == [[1, 2]]
    assert [one.args for one in taskyard.enqueued(probe.total)] == [[[1]]]


def test_a_name_that_no_task_has_is_an_error_and_not_an_empty_list(taskyard: Taskyard) -> None:
    with pytest.raises(UnknownTask, match=r"'reporting\.probe_ad'. Did you mean 'reporting\.probe_add'\?"):
        taskyard.enqueued("reporting.probe_ad")


def test_a_rolled_back_call_is_not_enqueued(taskyard: Taskyard) -> None:
    with transaction.atomic():
        probe.add.delay(1, 2)
        transaction.set_rollback(True)

    assert taskyard.enqueued() == []


def test_an_assertion_that_fails_tells_what_there_was(taskyard: Taskyard) -> None:
    probe.add.delay(1, second=2)
    taskyard.assert_enqueued(probe.add, args=[1], kwargs={"second": 2}, queue="reporting")
    taskyard.assert_enqueued(probe.total, times=0)

    with pytest.raises(AssertionError) as failed:
        taskyard.assert_enqueued(probe.add, kwargs={"second": 3})

    assert str(failed.value) == (
        "reporting.probe_add, kwargs={'second': 3} was enqueued 0 times instead of 1. What is in flight:\n"
        "  reporting.probe_add(1, second=2) in reporting"
    )


def test_an_assertion_fails_where_nothing_is_enqueued(taskyard: Taskyard) -> None:
    with pytest.raises(AssertionError, match=r"0 times instead of 1\. Nothing is in flight\."):
        assert_enqueued(probe.add)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda: chain(probe.add.s(1, 2), probe.add.s(3), probe.add.s(4)).delay(), 10),
        (lambda: group(probe.add.s(1, 1), probe.add.s(2, 2)).delay(), [2, 4]),
        (lambda: chord([probe.add.s(1, 1), probe.add.s(2, 2)])(probe.total.s()), 6),
        (lambda: (probe.add.s(1, 1) | group(probe.add.s(1), probe.add.s(2)) | probe.total.s()).delay(), 7),
        (lambda: probe.become_a_chain.delay(), 13),
        (lambda: probe.count_down.delay(3), 0),
    ],
    ids=["chain", "group", "chord", "chain with a chord", "replaced by a chain", "replaced by itself"],
)
def test_a_canvas_runs_to_its_end(call: Any, value: Any) -> None:
    handle = call()

    drain()

    assert handle.get(timeout=1) == value
    assert not Message.objects.exists()
    assert not Outbox.objects.exists()
    assert audit.audit().balances
    assert not Process.objects.exists()


def test_links_and_errbacks_follow(taskyard: Taskyard) -> None:
    probe.add.apply_async((1, 2), link=probe.add.s(10))
    probe.fail_for_good.apply_async(link_error=probe.total.si([5]))

    ran = taskyard.drain(raises=False)

    assert [(one.name.removeprefix("reporting.probe_"), one.state, one.result) for one in ran] == [
        ("add", "SUCCESS", 3),
        ("fail", "FAILURE", None),
        ("add", "SUCCESS", 13),
        ("sum", "SUCCESS", 5),
    ]


def test_what_is_not_due_waits_until_it_is_asked_for(taskyard: Taskyard) -> None:
    later = probe.add.apply_async((1, 2), countdown=3600)
    soon = probe.add.apply_async((3, 4), countdown=60)
    much_later = probe.add.apply_async((5, 6), eta=timezone.now() + 3 * HOUR)

    assert taskyard.drain() == []
    assert [one.id for one in taskyard.drain(at=HOUR + timedelta(minutes=1))] == [soon.id, later.id]
    assert taskyard.drain(at=timezone.now() + 2 * HOUR) == []
    assert [one.id for one in taskyard.drain(due_only=False)] == [much_later.id]


def test_a_retry_waits_for_its_time(taskyard: Taskyard) -> None:
    probe.fail_for_a_passing_reason.delay()

    assert [one.state for one in taskyard.drain()] == ["RETRY"]
    (waiting,) = taskyard.enqueued()
    assert waiting.attempt == 2
    assert waiting.due_at > timezone.now()
    assert [one.state for one in taskyard.drain(due_only=False, raises=False)] == ["RETRY", "RETRY", "FAILURE"]


def test_a_retry_comes_to_its_outcome(taskyard: Taskyard, tmp_path: Path) -> None:
    handle = probe.succeed_at_third_run.delay(str(tmp_path / "journal"))

    taskyard.drain(at=HOUR)

    assert handle.get() == 3


def test_what_a_task_raises_is_raised_once_it_is_recorded(taskyard: Taskyard) -> None:
    failing, behind = probe.fail_for_good.delay(), probe.add.delay(1, 2)

    with pytest.raises(PermanentError, match="no such address") as raised:
        taskyard.drain()

    assert raised.traceback[-1].name == "fail_for_good"
    assert DeadLetter.objects.get().task_id == failing.id
    assert [one.id for one in taskyard.enqueued()] == [behind.id]


def test_a_rejection_is_raised_too(taskyard: Taskyard, tmp_path: Path) -> None:
    probe.reject.delay(str(tmp_path / "journal"), requeue=False)

    with pytest.raises(Exception, match="not now"):
        taskyard.drain()


def test_an_error_of_the_database_spoils_its_own_task_alone(taskyard: Taskyard) -> None:
    Group.objects.create(name="taken")
    tasks.take.delay("taken")
    tasks.take.delay("free")

    ran = taskyard.drain(raises=False)

    assert [one.state for one in ran] == ["FAILURE", "SUCCESS"]
    assert isinstance(ran[0].error, IntegrityError)
    assert set(Group.objects.values_list("name", flat=True)) == {"taken", "free"}


def test_a_body_that_is_not_atomic_keeps_its_effects_when_it_fails(taskyard: Taskyard) -> None:
    tasks.take_and_fail.delay("kept")
    tasks.take_and_fail_atomically.delay("undone")

    taskyard.drain(raises=False)

    assert [group.name for group in Group.objects.all()] == ["kept"]


def test_what_a_body_leaves_for_its_commit_is_done(taskyard: Taskyard) -> None:
    tasks.done_at_commit.clear()
    tasks.act_at_commit.delay("a")
    transaction.on_commit(lambda: tasks.done_at_commit.append("the test's own"))

    taskyard.drain()

    assert tasks.done_at_commit == ["a"]


def test_a_task_that_is_not_drained_is_not_waited_for(taskyard: Taskyard) -> None:
    handle = probe.add.delay(1, 2)

    with pytest.raises(NotCommitted):
        handle.get()


def test_what_enqueues_itself_for_ever_is_stopped(taskyard: Taskyard) -> None:
    tasks.go_on.delay()

    with pytest.raises(Endless, match="has run 20 tasks"):
        taskyard.drain(runs=20)


def test_what_has_expired_is_not_run(taskyard: Taskyard) -> None:
    probe.add.apply_async((1, 2), expires=timezone.now() - HOUR)

    assert [one.state for one in taskyard.drain()] == ["REVOKED"]


@pytest.mark.django_db(transaction=True)
def test_it_works_the_same_where_commits_take_place(taskyard: Taskyard) -> None:
    handle = probe.take_effect.delay("/dev/null", "there")

    assert [one.state for one in taskyard.drain()] == ["SUCCESS", "SUCCESS"]
    assert not connection.in_atomic_block
    assert handle.get() == "there"
    assert not Process.objects.exists()
