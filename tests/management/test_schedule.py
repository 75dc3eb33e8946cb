"""``manage.py schedule``, for people and for scripts."""

import json
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from celery import states
from django.core.management import CommandError, call_command

from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import Message
from routing.schedule import operating
from tests.console import schedule_specimens as specimens
from tests.console import specimens as others
from tests.console.schedule_specimens import ago
from tests.workers import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def registered() -> None:
    specimens.registered(specimens.BUILT_IN)
    others.beat()


def schedule(*arguments: str) -> str:
    output = StringIO()
    call_command("schedule", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def rows(*arguments: str) -> str:
    return " ".join(schedule(*arguments).split())


def document(*arguments: str) -> Any:
    return json.loads(schedule(*arguments, "--json"))


def test_the_list_says_whether_all_is_right_what_runs_when_and_what_was_last(registered: None) -> None:
    specimens.fired("clean-up", ago(hours=1))

    text = rows("list")

    assert "The schedule is all right. Next: clean-up" in text
    assert "0 9 * * monday" in text
    assert "runs maintenance.cleanup, 0 2 * * *" in text
    assert ", success" in text
    assert "last never" in text


def test_no_line_of_the_table_is_wider_than_a_terminal() -> None:
    specimens.a_schedule()

    for verb in ("list", "slots"):
        table = schedule(verb).split(" things need you")[0]
        assert max(map(len, table.splitlines())) <= 80


def test_what_is_wrong_is_told_with_its_cure() -> None:
    specimens.a_schedule()
    others.beat(seconds_ago=-60)

    text = rows("list")

    assert "5 things need you." in text
    assert "Did you mean 'maintenance.cleanup'? Correct it, and restart beat." in text
    assert "To make up for it: manage.py schedule run busy" in text
    assert "To go on: manage.py schedule resume held" in text
    assert "gone" not in text
    assert "gone removed" in rows("list", "--removed")


def test_without_any_beat_the_list_says_how_to_start_one() -> None:
    assert rows("list").startswith("No beat has run yet; it registers the entries as it starts. Start it: celery")
    assert rows("slots") == "No entry has been due yet."


def test_the_list_for_scripts(registered: None) -> None:
    specimens.fired("clean-up", ago(hours=1), late=timedelta(minutes=2))
    task_id = specimens.last_result().task_id

    found = document("list")

    assert found["status"] == "look"
    first, second = found["entries"]
    assert (first["name"], first["state"], first["task"]) == ("clean-up", "late", "maintenance.cleanup")
    assert first["due"] == "0 2 * * *, UTC"
    assert first["next_due_at"].endswith("T02:00:00+00:00")
    last = first["last"]
    assert (last["state"], last["late_seconds"], last["task_id"]) == ("fired", 120.0, task_id)
    assert last["task_state"] == states.SUCCESS
    assert (second["state"], second["last"], second["paused"]) == ("ok", None, None)


def test_slots_come_newest_first_of_one_entry_or_of_all(registered: None) -> None:
    specimens.fired("clean-up", ago(hours=3), status=states.FAILURE)
    specimens.missed("weekly-report", ago(hours=2))
    running = specimens.in_flight("clean-up", ago(hours=1), state=states.STARTED)

    found = document("slots")["slots"]
    assert [(slot["entry"], slot["state"], slot["missed"], slot["task_state"]) for slot in found] == [
        ("clean-up", "fired", None, states.STARTED),
        ("weekly-report", "missed", "late", None),
        ("clean-up", "fired", None, states.FAILURE),
    ]
    assert [slot["entry"] for slot in document("slots", "weekly-report")["slots"]] == ["weekly-report"]
    assert f"running clean-up {running.task_id}" in rows("slots", "clean-up")
    assert "Only the newest 1 are shown; --limit shows more." in rows("slots", "--limit", "1")


def test_an_entry_that_was_never_due_says_so(registered: None) -> None:
    assert rows("slots", "clean-up") == "clean-up has not been due yet."


def test_an_entry_is_run_once_in_somebodys_name(registered: None) -> None:
    text = rows("run", "clean-up", "--by", "olga")

    message = Message.objects.get()
    assert text == f"clean-up is enqueued as {message.pk}. What becomes of it: manage.py schedule slots clean-up"
    assert ScheduleSlot.objects.get().asked_by == "olga"
    assert "waiting, for olga" in rows("slots")
    assert document("run", "clean-up") == {
        "entry": "clean-up",
        "task_id": Message.objects.exclude(pk=message.pk).get().pk,
        "enqueued": True,
    }


def test_one_whose_unique_key_is_taken_says_that_nothing_was_enqueued() -> None:
    options = {"unique_key": "one"}
    specimens.registered({"clean-up": {"task": "maintenance.cleanup", "schedule": 60.0, "options": options}})
    first = document("run", "clean-up")

    assert document("run", "clean-up") == {**first, "enqueued": False}
    assert f"clean-up is in flight already, as {first['task_id']}" in rows("run", "clean-up")
    assert Message.objects.count() == 1


def test_a_pause_is_said_once_and_resumed_once(registered: None) -> None:
    assert rows("pause", "clean-up", "--reason", "The disk is full.", "--by", "ann") == (
        "clean-up is paused: nothing of it is fired until manage.py schedule resume clean-up."
    )
    assert rows("pause", "clean-up", "--reason", "again") == "It was paused already, by ann: The disk is full."
    assert document("pause", "clean-up", "--reason", "again") == {"entry": "clean-up", "changed": False}
    assert "due not while it is paused" in rows("list")

    assert rows("resume", "clean-up").startswith("clean-up goes on. Next: ")
    assert rows("resume", "clean-up") == "clean-up is not paused, so nothing has changed."
    assert not operating.plan("clean-up").is_paused


NAMES = "The entries are: clean-up, weekly-report."


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "cleanup"), f"There is no schedule entry 'cleanup': did you mean 'clean-up'? {NAMES}"),
        (("pause", "x", "--reason", "y"), NAMES),
        (("resume", "x"), NAMES),
        (("slots", "x"), NAMES),
        (("run", "a\0b"), "There is no schedule entry"),
        (("slots", "a\0b"), "There is no schedule entry"),
        (("pause", "clean-up"), "--reason"),
        (("pause", "clean-up", "--reason", " "), "The reason must be text of 1 to 1,000 characters"),
        (("pause", "clean-up", "--reason", "y", "--by", "a\0b"), "--by must be text of 1 to 255 characters"),
        (("run", "clean-up", "--by", "x" * 256), "--by must be text of 1 to 255 characters"),
        (("slots", "--limit", "0"), "is no number of slots: use 1 to 10,000"),
        (("slots", "--limit", "٣"), "is no number of slots"),
        (("slots", "--limit", "9" * 5000), "is no number of slots"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_cure(registered: None, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError) as refused:
        schedule(*arguments)

    assert says in str(refused.value)
    assert not ScheduleSlot.objects.exists()
    assert not Message.objects.exists()
    assert not ScheduleEntry.objects.exclude(paused_at=None).exists()


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("broken", "the task 'maintenance.clean', which does not exist. Did you mean 'maintenance.cleanup'?"),
        ("gone", "it is no longer in CELERY_BEAT_SCHEDULE. To run its task without it, call the task itself."),
    ],
)
def test_what_cannot_run_is_refused_with_its_cure(entry: str, says: str) -> None:
    specimens.a_schedule()

    with pytest.raises(CommandError) as refused:
        schedule("run", entry)

    assert says in str(refused.value)
    assert not ScheduleSlot.objects.filter(entry=entry).exists()


def test_what_has_left_the_code_is_not_paused() -> None:
    specimens.a_schedule()

    with pytest.raises(CommandError, match="gone is no longer in CELERY_BEAT_SCHEDULE"):
        schedule("pause", "gone", "--reason", "x")


def test_a_task_that_refuses_to_be_enqueued_leaves_nothing(registered: None) -> None:
    options = '"options": {"queue": "nowhere"}'
    entry = ScheduleEntry.objects.get(pk="clean-up")
    ScheduleEntry.objects.filter(pk="clean-up").update(definition=entry.definition.replace('"options": {}', options))

    with pytest.raises(CommandError, match=r"clean-up could not be enqueued: .*nowhere"):
        schedule("run", "clean-up")

    assert not ScheduleSlot.objects.exists()


def test_a_bad_call_from_the_shell_has_a_status_of_its_own(registered: None) -> None:
    command = [sys.executable, "manage.py", "schedule", "run", "cleanup"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("CommandError: There is no schedule entry 'cleanup': did you mean 'clean-up'?")
