"""``manage.py dead_letters``: what it tells, what it asks, and that an interrupted run goes on."""

import base64
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message
from tests.waiting import until
from tests.workers import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)

Run = Callable[..., str]
BODY = json.dumps([["nowhere"], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Call the command, and return what it printed."""

    def call(*arguments: str) -> str:
        call_command("dead_letters", *arguments)
        return capfd.readouterr().out

    return call


def letters(count: int = 1, **fields: Any) -> list[DeadLetter]:
    known = {"task": "reporting.probe", "domain": "reporting", "queue": "reporting", "reason": "failed", "body": BODY}
    known |= {"headers": json.dumps({"lang": "py"}), "properties": "{}", "error": "KeyError: 'name'"}
    return DeadLetter.objects.bulk_create(
        DeadLetter(**known | {"task_id": str(uuid4())} | fields) for _ in range(count)
    )


def states() -> list[str]:
    return list(DeadLetter.objects.order_by("pk").values_list("state", flat=True))


def test_a_list_names_the_newest_and_counts_them_all(run: Run) -> None:
    letters(3)
    letters(task="reporting.weekly", error="ValueError: [bold]no markup[/bold]")

    told = run("list", "--limit", "2")

    assert "ValueError: [bold]no markup[/bold]" in told
    assert told.splitlines()[-1] == "4 dead letters, the newest 2 of them shown. --limit shows more."
    assert json.loads(run("list", "--task", "reporting.weekly", "--json"))["matched"] == 1
    assert run("list", "--domain", "maintenance").strip() == "There are no such dead letters."


def test_one_is_shown_with_all_that_is_known_of_it(run: Run) -> None:
    (letter,) = letters(traceback="Traceback: …", runs=2, history=json.dumps([{"at": None, "event": "dead-lettered"}]))

    told = run("show", str(letter.pk))

    for words in (
        letter.task_id,
        "KeyError: 'name'",
        "started 2 times",
        "Traceback: …",
        '["nowhere"]',
        "dead-lettered",
    ):
        assert words in told
    assert run("show", letter.task_id) == told


def test_a_body_comes_out_byte_for_byte_and_readable(run: Run) -> None:
    raw = b"\xff{\0" + bytes(range(200))
    (letter,) = letters(raw=raw, body="", source="reporting.dead", task="", task_id="", reason="undecodable")

    process = _start("show", str(letter.pk), "--body", stdout=subprocess.PIPE)
    assert process.communicate()[0] == raw
    document = json.loads(run("show", str(letter.pk), "--json"))
    assert (base64.b64decode(document["body_base64"]), document["body"]) == (raw, None)
    assert "ff 7b 00 00 01" in run("show", str(letter.pk))


def test_what_is_not_there_is_said(run: Run) -> None:
    with pytest.raises(CommandError, match="no dead letter '77'"):
        run("show", "77")


def test_a_dry_run_tells_and_does_nothing(run: Run) -> None:
    letters(2)
    letters(error="OSError: no space")

    told = run("replay", "--error", "keyerror", "--dry-run")

    assert "2 open dead letters in all." in told
    assert states() == ["open"] * 3
    document = json.loads(run("replay", "--all", "--dry-run", "--json"))
    assert (document["matched"], document["done"], [group["count"] for group in document["groups"]]) == (3, {}, [2, 1])


def test_what_is_chosen_is_replayed_or_discarded_and_all_else_stays(run: Run) -> None:
    letters(2)
    letters(error="OSError: no space")
    letters(body="nothing to run")

    told = run("replay", "--error", "KeyError", "--yes")

    assert "2  replayed" in told
    assert "1  left, as there is no task in them" in told
    assert states() == ["replayed", "replayed", "open", "open"]
    assert json.loads(run("discard", "--all", "--yes", "--json"))["done"] == {"discarded": 2}
    assert json.loads(run("restore", "--all", "--yes", "--json"))["done"] == {"open again": 2}
    assert json.loads(run("discard", "--all", "--yes", "--json"))["done"] == {"discarded": 2}
    assert Message.objects.count() == 2
    assert audit.audit().balances
    assert run("replay", "--all", "--yes").strip() == "There are no such open dead letters."
    again = run("replay", "--state", "discarded", "--all", "--yes", "--json")
    assert [count for outcome, count in json.loads(again)["done"].items() if outcome == "replayed"] == [1]


def test_what_is_decided_already_is_told_with_who_and_when(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    replayed, discarded, left = letters(3)
    run("replay", str(replayed.pk), "--yes")
    run("discard", str(discarded.pk), "--yes")
    capfd.readouterr()
    replayed.refresh_from_db()

    with pytest.raises(CommandError) as refused:
        run("replay", str(replayed.pk), str(discarded.pk), "--yes")

    first, second = str(refused.value).splitlines()
    when = timezone.localtime(replayed.decided_at).strftime("%d %b %Y %H:%M")
    by = f"by {replayed.decided_by}."
    assert first == f"Dead letter {replayed.pk} was replayed as {replayed.replayed_as}, at {when}, {by}"
    assert second.startswith(f"Dead letter {discarded.pk} was discarded at ")
    assert second.endswith("To replay it all the same: --state discarded")
    call_command("dead_letters", "discard", str(discarded.pk), str(left.pk), "--yes")
    told = capfd.readouterr()
    assert f"Dead letter {discarded.pk} was discarded at" in told.err
    assert "1  discarded" in told.out


def test_members_of_chords_are_pointed_out_beforehand(run: Run) -> None:
    letters(body='[[], {}, {"chord": {"task": "reporting.probe_sum", "options": {}}}]')

    assert "1 of them is a member of a chord" in run("replay", "--all", "--dry-run")


def test_nobody_is_asked_who_cannot_answer(run: Run) -> None:
    letters()

    with pytest.raises(CommandError, match="give --json together with"):
        run("replay", "--all", "--json")
    process = _start("replay", "--all", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert b"Add --yes" in process.communicate()[1]
    assert (process.returncode, states()) == (1, ["open"])


@pytest.mark.parametrize(("answer", "state"), [("y", "replayed"), ("", "open"), ("n", "open")])
def test_a_person_is_asked(answer: str, state: str) -> None:
    letters()
    terminal, inner = pty.openpty()
    process = _start("replay", "--all", stdin=inner, stdout=subprocess.PIPE)

    os.write(terminal, f"{answer}\n".encode())
    told = process.communicate()[0].decode()

    assert "Replay 1 open dead letter? [y/N]" in told
    assert ("Nothing was done." in told) == (state == "open")
    assert (process.returncode, states()) == (0, [state])
    os.close(terminal)
    os.close(inner)


def test_ctrl_c_stops_between_two_batches_and_the_same_command_goes_on(tmp_path: Path) -> None:
    letters(1_100)
    interrupted = {"TASKYARD_FAULT": "replay.written:3", "TASKYARD_FAULT_CALL": f"{__name__}.interrupt"}
    interrupted["TASKYARD_FAULT_FLAG"] = str(tmp_path / "once")
    first = _start("replay", "--all", "--yes", stdout=subprocess.PIPE, **interrupted)
    told = first.communicate()[0].decode()

    assert "Stopped after 500 of 1,100 open dead letters. The same command goes on with the rest." in told
    assert (first.returncode, states().count("replayed")) == (130, 500)
    _finished("replay", "--all", "--yes")
    assert _each_once(1_100)


@pytest.mark.parametrize(("point", "left"), [("replay.written:3", 500), ("replay.committed:3", 450)])
def test_a_run_that_is_killed_has_replayed_each_or_not_at_all(point: str, left: int) -> None:
    letters(600)
    first = _start("replay", "--all", "--yes", stdout=subprocess.DEVNULL, TASKYARD_FAULT=point)

    until(lambda: first.poll() is not None, what="its death", seconds=60)

    assert first.returncode == -signal.SIGKILL
    assert states().count("open") == left
    assert _each_once(600 - left)
    _finished("replay", "--all", "--yes")
    assert _each_once(600)


def test_two_runs_at_once_replay_each_once() -> None:
    letters(600)

    both = [_start("replay", "--all", "--yes", stdout=subprocess.DEVNULL) for _ in range(2)]

    assert [process.wait(120) for process in both] == [0, 0]
    assert _each_once(600)


def interrupt() -> None:
    """As Ctrl-C does; called from within the process, at a fault point."""
    os.kill(os.getpid(), signal.SIGINT)


def _each_once(count: int) -> bool:
    decided = DeadLetter.objects.filter(state="replayed").values_list("replayed_as", flat=True)
    assert set(decided) == set(Message.objects.values_list("pk", flat=True))
    assert audit.audit().balances
    return len(decided) == len(set(decided)) == count


def _start(*arguments: str, stdin: Any = None, stdout: Any = None, stderr: Any = None, **variables: str) -> Any:
    command = [sys.executable, "manage.py", "dead_letters", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment() | variables, stdin=stdin, stdout=stdout, stderr=stderr)


def _finished(*arguments: str) -> None:
    assert _start(*arguments, stdout=subprocess.DEVNULL).wait(120) == 0
