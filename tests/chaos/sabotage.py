"""What a chaos run must notice: settlements that are broken on purpose, for ``make chaos-selftest``.

``TASKYARD_CHAOS_SABOTAGE`` names what is broken. It is broken from outside, in the processes that load the chaos run's
own tasks, and always for the same few tasks, so that running them again does not mend it.
"""

import os
import signal
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4
from zlib import crc32

ONE_IN = {"forget": 40, "keep": 60, "twice": 20, "unatomic": 2, "restart": 2, "phantom": 1}
"""One task, or transaction, in so many."""
ONCE = frozenset({"unatomic"})
"""What is done to a task the first time only; the rest, each time that it runs."""
LATER = 3.0

_active = frozenset(os.environ.get("TASKYARD_CHAOS_SABOTAGE", "").split())


def strikes(what: str, key: str) -> bool:
    """Whether this task or transaction is one of those to be broken in this way."""
    if what not in _active or crc32(f"{what} {key}".encode()) % ONE_IN[what]:
        return False
    return what not in ONCE or _is_first(what, key)


def _is_first(what: str, key: str) -> bool:
    folder = Path(os.environ["TASKYARD_CHAOS_FOLDER"]) / "struck" / what
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / key).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def install() -> None:
    """Nothing, unless the environment asks for it."""
    if _active:
        _break_settlements()


def _break_settlements() -> None:
    from routing.worker.running import Run

    complete, atomically = Run.complete, Run._atomically

    def badly(run: Run, outcome: Any, sent: Any) -> bool:
        if strikes("keep", run.task_id):
            # Acked, and never settled.
            run.closed = run.won = True
            return True
        if strikes("forget", run.task_id):
            _delete(run.task_id)
            run.closed = run.won = True
            return True
        won = complete(run, outcome, sent)
        if won and strikes("twice", run.task_id):
            # Late enough for the first outcome to have been seen.
            threading.Timer(LATER, _settle_again, (run.task_id, sent)).start()
        return won

    def not_so_atomically(run: Run, task: Any, request: Any, body: Any) -> Any:
        if not strikes("unatomic", run.task_id) or _runs(run.task_id) > 1:
            return atomically(run, task, request, body)
        body()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    patched: Any = Run
    patched.complete, patched._atomically = badly, not_so_atomically


def _runs(task_id: str) -> int:
    from routing.ledger import lookup

    message = lookup.in_flight(task_id)
    return message.runs if message else 0


def _delete(task_id: str) -> None:
    from routing.ledger import database

    database.execute("DELETE FROM routing_message WHERE id = %s", [task_id])


def _settle_again(task_id: str, sent: Any) -> None:
    """A second outcome over the first, and all that follows from it once more."""
    from django.db.models.functions import Now
    from django_celery_results.models import TaskResult

    from routing.ledger.enqueue import enqueue

    TaskResult.objects.filter(task_id=task_id).update(status="FAILURE", date_done=Now())
    enqueue([envelope._replace(id=str(uuid4())) for envelope in sent.envelopes])
