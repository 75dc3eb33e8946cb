"""A job at work has a task that carries it on: one for each turn, and where that ended without it, another one.

Whatever was decided about the first meanwhile, its turn is over then, so that no two of them do the same work.
"""

import json
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from celery import current_app
from django.db.models import F
from django.utils.translation import gettext as _

from routing import faults
from routing.ledger import database, lookup
from routing.ledger.job_tables import Job
from routing.ledger.tables import DeadLetter

logger = logging.getLogger(__name__)

TASK = "maintenance.do_job"
PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""Before each that takes another's place. After the last of them the job is broken off: it may be what kills them."""


def task_id(job_id: int, turn: int) -> str:
    """Of the one task that has this turn: to be found without a look at all that is in flight."""
    return str(uuid5(NAMESPACE_URL, f"taskyard:job/{job_id}/{turn}"))


def enqueue(job_id: int, *, turn: int, countdown: float = 0) -> None:
    """In the transaction that gave it this turn."""
    # By name: a web process or a relay need not know it.
    delay: dict[str, Any] = {"countdown": countdown} if countdown else {}
    current_app.send_task(TASK, kwargs=_kwargs(job_id, turn), task_id=task_id(job_id, turn), **delay)


def replace_lost() -> int:
    """Give each job at work whose task is gone another one. Safe to call again, and by several at once."""
    at_work = list(_jobs().filter(state=Job.State.OPEN).values_list("pk", "turn"))
    in_flight = _in_flight(task_id(*job) for job in at_work)
    return sum(_replace(*job) for job in at_work if task_id(*job) not in in_flight)


def letter_of(job: Job) -> int | None:
    """The number of the dead letter that the task before became, if it is kept."""
    letters = DeadLetter.objects.using(database.using()).filter(task_id=task_id(job.pk, job.turn - 1))
    number: int | None = letters.values_list("pk", flat=True).order_by("-pk").first()
    return number


def _replace(job_id: int, turn: int) -> bool:
    with database.atomic():
        # A row that is held is being worked on, stopped or had go on just now: it is left to whoever does that.
        held = _jobs().select_for_update(skip_locked=True).filter(pk=job_id, state=Job.State.OPEN, turn=turn)
        if (job := held.first()) is None or _has_task(job):
            return False
        faults.point("job.task_lost")
        if job.lost >= len(PAUSES):
            return _break_off(job)
        _jobs().filter(pk=job_id).update(turn=turn + 1, lost=F("lost") + 1)
        enqueue(job_id, turn=turn + 1, countdown=PAUSES[job.lost].total_seconds())
    logger.warning("The task of job %d ended without it; another one follows in %s", job_id, PAUSES[job.lost])
    return True


def _has_task(job: Job) -> bool:
    """Its own one, or a replay of it, or a replay of that; or one of a release that gave them other ids."""
    ids, known = {task_id(job.pk, job.turn)}, set[str]()
    while ids:
        if _in_flight(ids):
            return True
        known |= ids
        letters = DeadLetter.objects.using(database.using()).filter(task_id__in=ids).exclude(replayed_as="")
        ids = set(letters.values_list("replayed_as", flat=True)) - known
    # No index leads to these, so they are looked for where nothing else was found.
    return any(json.loads(lookup.arguments(body)[1]) == _kwargs(job.pk, job.turn) for body in _bodies())


def _bodies() -> Iterable[str]:
    return lookup.messages().filter(task=TASK).values_list("body", flat=True)


def _kwargs(job_id: int, turn: int) -> dict[str, int]:
    return {"job_id": job_id, "turn": turn}


def _break_off(job: Job) -> bool:
    why = _("%(count)d tasks in a row ended without carrying it on; see their dead letters") % {"count": job.lost + 1}
    _jobs().filter(pk=job.pk).update(state=Job.State.FAILED, trouble=why, ended_at=database.now())
    logger.error("Job %d is broken off: %s", job.pk, why)
    return False


def _in_flight(ids: Iterable[str]) -> set[str]:
    return set(lookup.messages().filter(pk__in=list(ids)).values_list("pk", flat=True))


def _jobs() -> Any:
    return Job.objects.using(database.using())
