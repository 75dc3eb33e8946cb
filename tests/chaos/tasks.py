"""The tasks of a chaos run. Each notes its start; mix.py has what is made of them."""

import threading
from datetime import timedelta
from typing import Any

from celery import shared_task
from celery.exceptions import Ignore
from django.db import connection

from routing.errors import PermanentError, TransientError
from tests.chaos import sabotage, traces, windows

SHORTLY = timedelta(milliseconds=300)


def begin(task: Any, pause: float = 0.0) -> str:
    """Note the start, and be busy for a while: long enough to be killed meanwhile."""
    task_id = str(task.request.id)
    traces.note_start(task_id, task.name, task.request.retries)
    if pause:
        threading.Event().wait(pause)
    return task_id


@shared_task(name="reporting.chaos_work", bind=True)
def work(self: Any, pause: float = 0.0) -> str:
    begin(self, pause)
    return "done"


@shared_task(name="reporting.chaos_add", bind=True)
def add(self: Any, first: int, second: int, pause: float = 0.0) -> int:
    begin(self, pause)
    return first + second


@shared_task(name="reporting.chaos_sum", bind=True)
def total(self: Any, numbers: list[int]) -> int:
    begin(self)
    return sum(numbers)


@shared_task(name="reporting.chaos_effect", bind=True, atomic=True)  # type: ignore[call-overload]
def effect(self: Any, value: int, pause: float = 0.0) -> int:
    """Leaves one row and one further task behind."""
    task_id = begin(self)
    traces.take_effect(task_id)
    follow.delay()
    if pause:
        threading.Event().wait(pause)
    return value


@shared_task(name="reporting.chaos_effect_retry", bind=True, atomic=True)  # type: ignore[call-overload]
def effect_at_last_run(self: Any, times: int) -> int:
    """The rows and tasks of the runs before are rolled back."""
    traces.take_effect(begin(self))
    follow.delay()
    if self.request.retries < times:
        raise TransientError("not yet", retry_after=SHORTLY)
    return times


@shared_task(name="reporting.chaos_follow", bind=True)
def follow(self: Any) -> None:
    begin(self)


@shared_task(name="reporting.chaos_retry", bind=True)
def retry(self: Any, times: int) -> int:
    begin(self)
    if self.request.retries < times:
        raise TransientError("not yet", retry_after=SHORTLY)
    return times


@shared_task(name="reporting.chaos_once", bind=True, acks_late=False)
def once(self: Any, pause: float = 0.0) -> str:
    task_id = begin(self, pause)
    if sabotage.strikes("restart", task_id):
        begin(self)
    return "done"


@shared_task(name="reporting.chaos_keyed", bind=True, unique_by=("key",))  # type: ignore[call-overload]
def keyed(self: Any, key: str, pause: float = 0.0) -> str:
    begin(self, pause)
    return key


@shared_task(name="reporting.chaos_fail", bind=True)
def fail(self: Any) -> None:
    begin(self)
    raise PermanentError("as it should")


@shared_task(name="reporting.chaos_ignore", bind=True)
def ignore(self: Any) -> None:
    begin(self)
    raise Ignore


@shared_task(name="reporting.chaos_overrun", bind=True, soft_time_limit=None, time_limit=1)  # type: ignore[call-overload]
def overrun(self: Any) -> None:
    begin(self, 60)


@shared_task(name="reporting.chaos_chain", bind=True)
def become_a_chain(self: Any, number: int) -> None:
    begin(self)
    raise self.replace(add.s(number, 1) | add.s(1))


@shared_task(name="reporting.chaos_count_down", bind=True)
def count_down(self: Any, number: int) -> int:
    begin(self)
    if number:
        raise self.replace(count_down.s(number - 1))
    return number


@shared_task(name="notifications.chaos_lock", bind=True, atomic=True)  # type: ignore[call-overload]
def effect_on_a_locked_row(self: Any, value: int) -> int:
    """Atomic tasks that wait for one another, and may have to give way."""
    task_id = begin(self)
    traces.take_effect(task_id)
    follow.delay()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for lock in (value % 2, 1 - value % 2):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
    return value


@shared_task(name="maintenance.chaos_fired", bind=True)
def fired(self: Any) -> None:
    begin(self)


sabotage.install()
windows.install()
