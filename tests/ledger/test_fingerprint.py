"""Fingerprints: one for each cause, whatever ids, numbers, addresses, folders and line numbers it comes with."""

import pytest

from routing.ledger.fingerprint import fingerprint, work_out
from routing.ledger.tables import DeadLetter
from tests.console.specimens import TRACEBACK

ERROR = "PermanentError: The mail server refuses ada@example.org (0x7f3a, 10.0.0.1:25): 550 5.1.1 after 3.5 s"


def of(error: str = ERROR, *, task: str = "notifications.send_email", traceback: str | None = TRACEBACK) -> str:
    return fingerprint(task=task, error=error, traceback=traceback)


@pytest.mark.parametrize(
    "other",
    [
        of(ERROR.replace("ada@example.org", "grace.hopper+tag@mail.example.com")),
        of(ERROR.replace("0x7f3a", "0xFFFF10").replace("10.0.0.1:25", "192.168.1.20:465")),
        of(ERROR.replace("3.5 s", "12 s").replace("550 5.1.1", "421  4.7.0")),
        of(traceback=TRACEBACK.replace("line 41", "line 140").replace("line 18", "line 1")),
        of(traceback=TRACEBACK.replace("/srv/taskyard", "/home/ada/releases/2026")),
        of(traceback=TRACEBACK.replace("celery/app/trace.py", "celery/app/other.py")),
    ],
)
def test_what_differs_from_one_occurrence_to_the_next_does_not_count(other: str) -> None:
    assert other == of()


@pytest.mark.parametrize(
    "other",
    [
        of(task="notifications.send_text"),
        of(ERROR.replace("PermanentError", "ValueError")),
        of(ERROR.replace("refuses", "forgets")),
        of(traceback=TRACEBACK.replace("services.py", "smtp.py")),
        of(traceback=TRACEBACK.replace("in send_email", "in send_again")),
        of(traceback=None),
    ],
)
def test_another_task_error_or_place_is_another_cause(other: str) -> None:
    assert other != of()


def test_ids_do_not_count() -> None:
    one, two = "0b7c3f0e-3c6b-4c55-9d4e-3d7a5f1f0a11", "ffffffff-0000-4c55-9d4e-3d7a5f1f0a11"
    assert of(f"ChordError: Dependency {one} raised") == of(f"ChordError: Dependency {two} raised")
    assert of("KeyError: deadbeef0123456789") == of("KeyError: 0123456789abcdef01")


def test_without_frames_of_the_project_the_innermost_counts() -> None:
    here, there = (
        f'  File "/usr/lib/python3.11/json/{name}.py", line 1, in loads\n' for name in ("decoder", "scanner")
    )
    assert of(traceback=here) != of(traceback=there)


def test_whatever_is_stored_has_one() -> None:
    assert len({of(""), of("\ud800"), of("x" * 10**6, traceback="y" * 10**6)}) == 3


@pytest.mark.django_db
def test_dead_letters_get_theirs_a_batch_at_a_time() -> None:
    known = {"task": "t", "domain": "d", "queue": "q", "headers": "{}", "body": "", "reason": "failed"}
    DeadLetter.objects.bulk_create(DeadLetter(task_id=str(n), error=f"E: {n}", **known) for n in range(250))

    assert (work_out(), work_out()) == (250, 0)
    assert DeadLetter.objects.values("fingerprint").distinct().count() == 1
