"""What a real worker does with a task, from enqueueing to the stored result."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import chord, current_app
from celery.result import AsyncResult
from django.contrib.auth.models import Group
from django.utils import timezone
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.broker import topology
from routing.broker.sending import EPOCH_HEADER
from routing.domains import registry
from routing.ledger import audit, results
from routing.ledger.tables import DeadLetter, Message, Outbox
from tests import probe as typed_probe
from tests.request_ids import answering
from tests.waiting import until
from tests.workers import ROOT, Process, environment

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]

StartWorker = Callable[..., Process]


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def state_of(result: AsyncResult[object]) -> str:
    return str(result.state)


def finished(result: AsyncResult[object]) -> TaskResult:
    """The row of a task, once its outcome is recorded."""
    rows = TaskResult.objects.filter(task_id=result.id, status__in=results.RECORDED)
    return until(rows.first, what=f"the outcome of {result.id}")


def logged(worker: Process, words: str) -> dict[str, Any]:
    """The line of a log in JSON that has these words."""
    lines = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    (found,) = [line for line in lines if words in line["event"]]
    return dict(found)


def test_a_result_row_tells_the_whole_story(start_worker: StartWorker, journal: str) -> None:
    start_worker("notifications")

    row = finished(probe.notify.delay(journal))

    assert row.status == "SUCCESS"
    assert row.task_name == "notifications.probe"
    assert json.loads(row.task_args) == [journal]
    assert json.loads(row.result) == {"runs": 1, "text": "größer"}
    assert row.date_created <= row.date_started <= row.date_done
    assert row.worker.startswith("notifications@")
    assert results.read_meta(row)["queue"] == "notifications"
    assert results.read_meta(row)["attempt"] == 1


def test_a_task_is_seen_waiting_before_any_worker_runs(
    transactional_db: None, clean_broker: Connection, journal: str
) -> None:
    result = probe.notify.delay(journal)

    assert state_of(result) == "PENDING"
    assert result.state == "PENDING"


def test_one_pool_never_takes_anothers_task(start_worker: StartWorker, journal: str) -> None:
    start_worker("reporting")
    other = probe.notify.delay(journal)
    urgent = probe.notify.apply_async((journal,), queue="notifications.urgent")

    own = finished(probe.report.delay(journal))

    assert own.status == "SUCCESS"
    assert [state_of(other), state_of(urgent)] == ["PENDING", "PENDING"]
    start_worker("notifications")
    assert finished(other).worker.startswith("notifications@")
    assert state_of(urgent) == "PENDING"


def test_a_passing_error_is_retried(start_worker: StartWorker, journal: str) -> None:
    start_worker("reporting")

    row = finished(probe.succeed_at_third_run.delay(journal))

    assert (row.status, row.result) == ("SUCCESS", "3")
    assert results.read_meta(row)["attempt"] == 3


def test_the_policys_first_retry_comes_after_a_minute(start_worker: StartWorker) -> None:
    start_worker("reporting")

    result = probe.fail_for_a_passing_reason.delay()

    until(lambda: state_of(result) == "RETRY", what="the retry")
    message = Message.objects.get(pk=result.id)
    assert message.error == "TransientError: the other side is busy"
    assert message.started_at is not None
    assert 50 < (message.due_at - message.started_at).total_seconds() < 70


def test_any_other_error_is_final_and_kept_readable(start_worker: StartWorker) -> None:
    start_worker("reporting")

    row = finished(probe.fail_for_good.delay())

    assert row.status == "FAILURE"
    assert json.loads(row.result)["exc_type"] == "PermanentError"
    assert "no such address" in row.traceback


def test_a_task_over_its_hard_limit_fails_and_the_log_tells_where_it_came_from(start_worker: StartWorker) -> None:
    worker = start_worker("reporting", LOG_FORMAT="json")

    with answering("checkout-7"):
        said, overran = probe.say.delay("from the child"), probe.overrun.delay()
    row = finished(overran)

    assert row.status == "FAILURE"
    assert json.loads(row.result)["exc_type"] == "TimeLimitExceeded"
    finished(said)
    of_child, of_main = logged(worker, "from the child"), logged(worker, f"probe_overrun[{overran.id}] has failed")
    for line, result, task in ((of_child, said, "probe_say"), (of_main, overran, "probe_overrun")):
        assert line["task"] == f"reporting.{task}"
        assert (line["task_id"], line["root_id"], line["request_id"]) == (result.id, result.id, "checkout-7")
        assert (line["domain"], line["lane"]) == ("reporting", "default")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_no_way_to_fail_ends_a_worker_or_counts_twice(start_worker: StartWorker, pool: str) -> None:
    worker = start_worker("reporting", f"--pool={pool}")
    ways = [probe.leave.si(), probe.need_too_much.si(), probe.fail_unpicklably.si()]

    together = chord([*ways, probe.add.si(1, 1)])(probe.rebuild.si("body"))

    assert finished(together).status == "FAILURE"
    until(lambda: not Message.objects.exists(), what="all outcomes")
    statuses = Counter(TaskResult.objects.values_list("status", flat=True))
    assert statuses == {"FAILURE": len(ways) + 1, "SUCCESS": 1}
    assert finished(probe.add.delay(1, 1)).status == "SUCCESS"
    assert not worker.is_dead
    assert audit.audit().balances


def test_a_task_that_kills_its_workers_is_set_aside(
    start_worker: StartWorker, clean_broker: Connection, journal: str
) -> None:
    start_worker("reporting")

    row = finished(probe.kill_its_process.apply_async((journal,), link_error=probe.total.si([1])))

    limit = registry().pools["reporting"].domain.run_limit
    assert json.loads(row.result)["exc_type"] == "Poison"
    assert len(Path(journal).read_text().splitlines()) == limit
    letter = DeadLetter.objects.get(task_id=row.task_id)
    assert (letter.reason, json.loads(letter.body)[0]) == ("poison", [journal])
    until(lambda: TaskResult.objects.filter(task_name="reporting.probe_sum").count() == 1, what="the errback")


def test_a_task_may_replace_itself_beyond_the_run_limit(start_worker: StartWorker) -> None:
    start_worker("reporting")
    limit = registry().pools["reporting"].domain.run_limit

    row = finished(probe.count_down.delay(limit + 1))

    assert (row.status, row.result) == ("SUCCESS", "0")


def test_a_task_that_wants_no_result_has_its_outcome_recorded_without_one(
    start_worker: StartWorker, journal: str
) -> None:
    start_worker("reporting")

    sent = [
        probe.report.apply_async((journal,), ignore_result=True),
        probe.report_silently.delay(journal),
        current_app.send_task("reporting.probe_silent", (journal,)),
    ]

    assert [(row.status, row.result) for row in map(finished, sent)] == [("SUCCESS", None)] * 3


def test_what_a_body_asks_for_is_done(start_worker: StartWorker, journal: str, tmp_path: Path) -> None:
    start_worker("reporting")

    assert finished(probe.ignore.delay()).status == "IGNORED"
    refused = finished(probe.reject.delay(f"{journal}.1", requeue=False))
    assert (refused.status, DeadLetter.objects.get().task_id) == ("FAILURE", refused.task_id)
    again = probe.reject.delay(f"{journal}.2", requeue=True)
    until(lambda: Message.objects.filter(pk=again.id, epoch=2, owner=None).exists(), what="a later run")
    assert finished(probe.become_a_chain.delay()).result == "13"
    assert finished(probe.fail_in_two_ways.delay(f"{journal}.3")).result == "3"

    running = probe.show_progress.delay(str(tmp_path / "release"))
    until(lambda: running.state == "PROGRESS", what="its progress")
    assert running.result == {"done": 1}
    (tmp_path / "release").touch()
    assert finished(running).status == "SUCCESS"


def test_an_atomic_tasks_retries_leave_nothing_of_the_runs_that_failed(start_worker: StartWorker) -> None:
    start_worker("reporting")

    row = finished(probe.take_effect_at_third_run.delay("effect"))

    assert (row.status, row.result) == ("SUCCESS", "2")
    assert list(Group.objects.values_list("name", flat=True)) == ["effect 2"]


def test_a_task_survives_the_death_of_its_whole_pool(start_worker: StartWorker, journal: str, tmp_path: Path) -> None:
    first = start_worker("reporting")
    release = tmp_path / "release"
    result = probe.wait_for_file.delay(journal, str(release))
    until(lambda: probe.runs(journal) == 1, what="the first run")

    first.kill()
    release.touch()
    start_worker("reporting")

    assert finished(result).result == "2"


def test_a_pool_told_to_stop_finishes_what_it_runs(start_worker: StartWorker, journal: str, tmp_path: Path) -> None:
    worker = start_worker("reporting")
    release = tmp_path / "release"
    result = probe.wait_for_file.delay(journal, str(release))
    until(lambda: state_of(result) == "STARTED", what="the run")

    worker.popen.send_signal(signal.SIGTERM)
    until(lambda: worker.says("Warm shutdown"), what="the warm shutdown")
    release.touch()

    assert finished(result).result == "1"
    assert worker.popen.wait(120) == 0


def test_a_pool_told_to_hurry_gives_back_what_it_runs(start_worker: StartWorker, journal: str, tmp_path: Path) -> None:
    worker = start_worker("reporting")
    release = tmp_path / "release"
    result = probe.wait_for_file.delay(journal, str(release))
    until(lambda: probe.runs(journal) == 1, what="the run")

    worker.popen.send_signal(signal.SIGQUIT)
    worker.popen.wait(120)

    release.touch()
    start_worker("reporting")
    assert finished(result).result == "2"


def test_a_message_delivered_again_after_its_outcome_is_not_run(
    start_worker: StartWorker, clean_broker: Connection, journal: str
) -> None:
    result = probe.report.delay(journal)
    message = Message.objects.get(pk=result.id)
    worker = start_worker("reporting")
    finished(result)

    clean_broker.Producer().publish(
        message.body,
        routing_key="reporting",
        content_type="application/json",
        content_encoding="utf-8",
        headers={**json.loads(message.headers), EPOCH_HEADER: message.epoch},
    )

    worker.until_it_says("is not run: its outcome is recorded")
    assert finished(probe.report.delay(journal)).result == "2"


def test_what_cannot_be_decoded_is_kept_as_a_dead_letter(start_worker: StartWorker, clean_broker: Connection) -> None:
    worker = start_worker("reporting")
    TaskResult.objects.create(task_id="unreadable", status="PENDING")

    clean_broker.Producer().publish(
        b"\xff{not json",
        exchange=topology.TASKS,
        routing_key="reporting",
        content_type="application/json",
        content_encoding="utf-8",
        headers={"id": "unreadable", "task": "reporting.probe"},
    )

    letter = until(DeadLetter.objects.first, what="the dead letter")
    assert (letter.reason, letter.content, letter.task_id) == ("undecodable", b"\xff{not json", "unreadable")
    recorded = TaskResult.objects.filter(task_id="unreadable", status="FAILURE")
    until(recorded.exists, what="its outcome")
    # Where in the decoding it was, too: a codec may be somebody's own.
    worker.until_it_says("UnicodeDecodeError")
    assert worker.says("Traceback (most recent call last)")


def test_a_task_unknown_to_its_worker_waits_for_one_that_knows_it(start_worker: StartWorker) -> None:
    start_worker("reporting")
    unknown = current_app.send_task("reporting.no_such_task")
    waiting = Message.objects.filter(pk=unknown.id, epoch=2)
    until(waiting.exists, what="its return to the ledger")
    assert "Deploy the code that has it" in str(waiting.get().error)

    waiting.update(unknown_since=timezone.now() - timedelta(minutes=16))
    Outbox.objects.update(due_at=timezone.now())

    assert finished(unknown).status == "FAILURE"
    assert DeadLetter.objects.get().task_id == unknown.id


def test_a_chord_collects_its_parts(start_worker: StartWorker) -> None:
    start_worker("reporting")

    result = chord([probe.add.s(number, number) for number in range(3)], probe.total.s()).apply_async()

    assert finished(result).result == "6"


def test_a_task_whose_time_has_passed_is_revoked(start_worker: StartWorker, journal: str) -> None:
    result = probe.report.apply_async((journal,), expires=-1)

    start_worker("reporting")

    assert finished(result).status == "REVOKED"
    assert not os.path.exists(journal)  # noqa: PTH110


def test_a_declared_expiry_holds_for_a_task_sent_by_name(
    start_worker: StartWorker, journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app.tasks["reporting.probe"], "expires", -1)
    result = current_app.send_task("reporting.probe", (journal,))

    start_worker("reporting")

    assert finished(result).status == "REVOKED"


def test_the_plain_celery_commands_work(start_worker: StartWorker, clean_broker: Connection) -> None:
    start_worker("reporting")

    replies = current_app.control.inspect(timeout=5, connection=clean_broker).ping()

    assert [reply for node, reply in (replies or {}).items() if node.startswith("reporting@")] == [{"ok": "pong"}]
    command = [sys.executable, "-m", "celery", "-A", "project", "inspect", "ping", "--timeout=5"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert "pong" in ended.stdout, ended.stderr
