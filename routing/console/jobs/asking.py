"""Asking for a job, stopping it, and having it go on: each in one transaction, with whoever did it."""

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import IntegrityError
from django.utils.translation import gettext as _

from routing.console.jobs import scopes, stages
from routing.console.jobs.stages import Plan
from routing.console.jobs.verbs import Verb
from routing.ledger import database
from routing.ledger.job_tables import Job
from routing.ledger.job_tasks import enqueue

LONGEST_WISH = 64


class AtWork(Exception):
    """Another job is at work on the same cause; ``job`` is that one, or None if it has just ended."""

    def __init__(self, job: Job | None) -> None:
        self.job = job
        super().__init__(_("Another job is at work on this cause already."))


def ask(
    verb: Verb,
    scope: Any,
    *,
    user: Any,
    told: str,
    expected: int | None,
    wish: str,
    fingerprint: str = "",
    plan: Plan | None = None,
) -> Job:
    """The job, its first task and the log of it. Safe to call again with the same ``wish``. Raises AtWork."""
    if asked := _asked(user, wish):
        return asked
    job = Job(
        verb=verb.name,
        scope=scopes.written(scope),
        told=told,
        fingerprint=fingerprint,
        expected=expected,
        stages=str(plan) if plan else "[]",
        asked_by=user.get_username()[:150],
        asked_at=database.now(),
        wish=_wish(user, wish),
    )
    try:
        with database.atomic():
            job.save(using=database.using(), force_insert=True)
            enqueue(job.pk, turn=job.turn)
            _log(user, job, ADDITION, f"{verb.title}: {told}")
    except IntegrityError as error:
        if asked := _asked(user, wish):
            return asked
        raise AtWork(_jobs().filter(fingerprint=fingerprint, state=Job.State.OPEN).first()) from error
    return job


def stop(job: Job, *, user: Any) -> bool:
    """What is done stays done. It waits for the batch at hand; False if the job has ended by then."""
    with database.atomic():
        stopped = _jobs().filter(pk=job.pk, state=Job.State.OPEN)
        name = user.get_username()[:150]
        if not stopped.update(state=Job.State.STOPPED, stopped_by=name, ended_at=database.now()):
            return False
        _log(user, job, CHANGE, _("Stopped: %(what)s") % {"what": job.told})
    return True


def go_on(job: Job, *, user: Any) -> bool:
    """With what is left; what has returned so far does not stop it again. False if it does not stand. Raises AtWork."""
    ended = (Job.State.STOPPED, Job.State.RETURNED, Job.State.FAILED)
    try:
        with database.atomic():
            mine = _jobs().select_for_update().filter(pk=job.pk, state__in=ended).first()
            if mine is None:
                return False
            turn = mine.turn + 1
            _jobs().filter(pk=mine.pk).update(
                state=Job.State.OPEN, turn=turn, lost=0, trouble="", ended_at=None, stopped_by="", stages=_known(mine)
            )
            enqueue(mine.pk, turn=turn)
            _log(user, mine, CHANGE, _("Goes on: %(what)s") % {"what": mine.told})
    except IntegrityError as error:
        raise AtWork(_jobs().filter(fingerprint=job.fingerprint, state=Job.State.OPEN).first()) from error
    return True


def _known(job: Job) -> str:
    plan = stages.read(job)
    if plan is None:
        return job.stages
    plan.later_than = stages.newest_letter()
    return str(plan)


def _asked(user: Any, wish: str) -> Job | None:
    found: Job | None = _jobs().filter(wish=_wish(user, wish)).first()
    return found


def _wish(user: Any, wish: str) -> str:
    """Of this user: nobody takes another's place by what he sends."""
    return f"{user.pk}:{wish}"[:LONGEST_WISH]


def _log(user: Any, job: Job, flag: int, told: str) -> None:
    LogEntry.objects.log_actions(user.pk, [job], flag, change_message=told[:2000], single_object=True)


def _jobs() -> Any:
    return Job.objects.using(database.using())
