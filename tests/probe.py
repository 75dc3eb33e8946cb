"""Tasks that only the tests' workers know, named into real domains; ``--include tests.probe`` loads them."""

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import chain, shared_task, signature
from celery.exceptions import Ignore, Reject, Retry
from django.contrib.auth.models import Group
from django.db import DatabaseError, connection

from routing.errors import NotYet, PermanentError, TransientError
from routing.worker import hands

SHORTLY = timedelta(milliseconds=200)


def note(journal: str, line: str) -> int:
    """Append a line to a file and return how many it has: what a body did, seen from outside."""
    path = Path(journal)
    with path.open("a") as file:
        file.write(f"{line}\n")
    return len(path.read_text().splitlines())


def runs(journal: str | Path) -> int:
    """How many lines the bodies have noted so far."""
    path = Path(journal)
    return len(path.read_text().splitlines()) if path.exists() else 0


@shared_task(name="notifications.probe")
def notify(journal: str) -> dict[str, Any]:
    return {"runs": note(journal, "notifications.probe"), "text": "größer"}


@shared_task(name="reporting.probe")
def report(journal: str) -> int:
    return note(journal, "reporting.probe")


@shared_task(name="reporting.probe_say")
def say(words: str) -> None:
    logging.getLogger(__name__).warning(words)


@shared_task(name="reporting.probe_silent", ignore_result=True)
def report_silently(journal: str) -> int:
    return note(journal, "reporting.probe_silent")


@shared_task(name="reporting.probe_replace", bind=True)
def count_down(self: Any, number: int) -> int:
    """Replaces itself, under its own id, until it reaches zero."""
    if number:
        raise self.replace(count_down.s(number - 1))
    return number


@shared_task(name="reporting.probe_hurry", soft_time_limit=1, time_limit=2)
def hurry(journal: str) -> int:
    return note(journal, "reporting.probe_hurry")


@shared_task(name="reporting.probe_outlast", soft_time_limit=2, time_limit=3)
def outlast(journal: str, release: str) -> int:
    """Ends well within its limits, when told to, the first time; and at once thereafter."""
    return int(wait_for_file.run(journal, release))


@shared_task(name="reporting.probe_record", soft_time_limit=1, time_limit=2)
def record(journal: str, release: str) -> int:
    """Has something to write down, which takes until the file ``release`` exists."""
    runs, pause = note(journal, "run"), threading.Event()
    with hands.Recording():
        while not Path(release).exists():
            pause.wait(0.05)
    return runs


@shared_task(name="reporting.probe_fail_unpicklably")
def fail_unpicklably() -> None:
    raise PermanentError(threading.Lock())


@shared_task(name="reporting.probe_add")
def add(first: int, second: int) -> int:
    return first + second


@shared_task(name="reporting.probe_rebuild", unique_by=("what",))  # type: ignore[call-overload]
def rebuild(what: str, note: str = "") -> str:
    return f"{what} {note}"


@shared_task(name="reporting.probe_once", acks_late=False)
def start_once(journal: str) -> None:
    note(journal, "run")
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="reporting.probe_effect", atomic=True)  # type: ignore[call-overload]
def take_effect(journal: str, name: str) -> str:
    """Leaves a row and a further task behind, once whatever happens."""
    note(journal, name)
    Group.objects.create(name=name)
    add.delay(1, 1)
    return name


@shared_task(name="reporting.probe_effect_then_retry", atomic=True, bind=True)  # type: ignore[call-overload]
def take_effect_at_third_run(self: Any, name: str) -> int:
    Group.objects.create(name=f"{name} {self.request.retries}")
    if self.request.retries < 2:
        raise TransientError("not yet", retry_after=SHORTLY)
    return int(self.request.retries)


@shared_task(name="reporting.probe_cut", bind=True)
def cut_its_connection(self: Any, journal: str) -> int:
    """Has the database server end this process's connection, the first time."""
    runs = note(journal, "run")
    if runs == 1:
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return runs


@shared_task(name="reporting.probe_atomic_cut", atomic=True)  # type: ignore[call-overload]
def cut_its_connection_atomically(journal: str) -> int:
    runs = note(journal, "run")
    Group.objects.create(name="cut")
    if runs == 1:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return runs


@shared_task(name="reporting.probe_ignore")
def ignore() -> None:
    raise Ignore


@shared_task(name="reporting.probe_reject", bind=True)
def reject(self: Any, journal: str, *, requeue: bool) -> int:
    runs = note(journal, "run")
    if runs == 1:
        raise Reject("not now", requeue=requeue)
    return runs


@shared_task(name="reporting.probe_progress", bind=True)
def show_progress(self: Any, release: str) -> None:
    self.update_state(state="PROGRESS", meta={"done": 1})
    pause = threading.Event()
    while not Path(release).exists():
        pause.wait(0.05)


@shared_task(name="reporting.probe_replace_by_chain", bind=True)
def become_a_chain(self: Any) -> None:
    raise self.replace(add.s(1, 2) | add.s(10))


@shared_task(name="reporting.probe_retry_on_value_error", autoretry_for=(ValueError,), retry_kwargs={"countdown": 0.1})
def fail_in_two_ways(journal: str) -> int:
    runs = note(journal, "run")
    if runs == 1:
        raise ValueError
    if runs == 2:
        raise TransientError("not yet", retry_after=SHORTLY)
    return runs


@shared_task(name="reporting.probe_sum")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task(name="reporting.probe_retry", bind=True)
def succeed_at_third_run(self: Any, journal: str) -> int:
    runs = note(journal, "run")
    if runs < 3:
        raise TransientError("not yet", retry_after=SHORTLY)
    return runs


@shared_task(name="reporting.probe_turn")
def wait_for_its_turn(journal: str, turn: int) -> int:
    runs = note(journal, "run")
    if runs < turn:
        raise NotYet("Its turn is at 12:03:07.", after=SHORTLY)
    return runs


@shared_task(name="reporting.probe_turn_atomic", atomic=True)  # type: ignore[call-overload]
def wait_for_its_turn_atomically(journal: str, turn: int) -> int:
    Group.objects.create(name="its turn")
    return int(wait_for_its_turn.run(journal, turn))


@shared_task(name="reporting.probe_turn_once", acks_late=False)
def wait_for_its_turn_once(journal: str, turn: int) -> int:
    return int(wait_for_its_turn.run(journal, turn))


@shared_task(name="reporting.probe_retry_by_policy")
def fail_for_a_passing_reason() -> None:
    raise TransientError("the other side is busy")


@shared_task(name="reporting.probe_fail")
def fail_for_good() -> None:
    raise PermanentError("no such address: a\0b")


def cut_the_connection() -> None:
    """What a fault point may call: the database ends this process's connection."""
    with connection.copy().cursor() as other, connection.cursor() as own:
        own.execute("SELECT pg_backend_pid()")
        other.execute("SELECT pg_terminate_backend(%s)", own.fetchone())


@shared_task(name="reporting.probe_fail_until")
def fail_until(path: str, value: int) -> int:
    """Fails for good, unless the file is there."""
    if not Path(path).exists():
        raise PermanentError(f"not mended yet, says {os.getpid()}")
    return value


def stand_still() -> None:
    """What a fault point may call: wait there until the file is gone that the environment names."""
    gate, pause = Path(os.environ["PROBE_GATE"]), threading.Event()
    gate.with_suffix(".reached").touch()
    while gate.exists():
        pause.wait(0.05)


@shared_task(name="reporting.probe_kill")
def kill_its_process(journal: str) -> None:
    note(journal, "run")
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="reporting.probe_overrun", soft_time_limit=None, time_limit=1)  # type: ignore[call-overload]
def overrun() -> None:
    threading.Event().wait(60)


@shared_task(name="reporting.probe_wait", bind=True)
def wait_for_file(self: Any, journal: str, release: str) -> int:
    """Run until the file ``release`` exists."""
    runs = note(journal, "run")
    pause = threading.Event()
    while not Path(release).exists():
        pause.wait(0.05)
    return runs


@shared_task(name="reporting.probe_exit")
def leave() -> None:
    sys.exit(3)


@shared_task(name="reporting.probe_memory")
def need_too_much() -> None:
    raise MemoryError("no room")


@shared_task(name="reporting.probe_bare_retry", bind=True, max_retries=1)
def raise_retry(self: Any, journal: str) -> int:
    runs = note(journal, "run")
    if runs < 4:
        raise Retry(exc=ValueError("not by the book"))
    return runs


@shared_task(name="reporting.probe_ignore_atomically", atomic=True)  # type: ignore[call-overload]
def take_effect_and_ignore() -> None:
    Group.objects.create(name="ignored")
    add.delay(1, 1)
    raise Ignore


@shared_task(name="reporting.probe_replace_atomically", atomic=True, bind=True)  # type: ignore[call-overload]
def take_effect_and_be_replaced(self: Any) -> None:
    Group.objects.create(name="replaced")
    raise self.replace(add.s(1, 2))


@shared_task(name="reporting.probe_deadlock", atomic=True)  # type: ignore[call-overload]
def give_way(journal: str) -> int:
    """As if the database had chose it to give way, the first time."""
    runs = note(journal, "run")
    Group.objects.create(name="deadlock")
    if runs == 1:
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$")
    return runs


@shared_task(name="reporting.probe_declare", bind=True)
def declare_itself(self: Any, state: str, error: str) -> None:
    self.update_state(state=state, meta=ValueError(error) if state == "FAILURE" else error)
    raise Ignore


@shared_task(name="reporting.probe_shout_at", bind=True)
def shout_at(self: Any, task_id: str) -> None:
    self.update_state(task_id=task_id, state="PROGRESS", meta={"done": 2})


@shared_task(name="reporting.probe_fail_silently", ignore_result=True)
def fail_silently() -> None:
    raise PermanentError("nobody wants to know")


@shared_task(name="reporting.probe_become", bind=True)
def become(self: Any, links: list[Any]) -> None:
    """Is replaced by a chain of these signatures."""
    raise self.replace(chain(*(signature(link) for link in links)))


@shared_task(name="reporting.probe_at_commit", atomic=True)  # type: ignore[call-overload]
def break_at_commit() -> None:
    """A membership of nobody, which the database finds out when it commits."""
    Group.user_set.through.objects.create(group=Group.objects.create(name="empty"), user_id=-1)


@shared_task(name="reporting.probe_cling")
def cling(journal: str, release: str) -> int:
    """Goes on until the file ``release`` exists, whatever it is told."""
    runs = note(journal, "run")
    pause = threading.Event()
    while not Path(release).exists():
        with suppress(BaseException):
            pause.wait(0.05)
    return runs


@shared_task(name="reporting.probe_once_long", acks_late=False)
def wait_once(journal: str, release: str) -> int:
    return int(wait_for_file.run(journal, release))
