"""Carrying a job on: batch after batch, each a transaction that also moves the job, until nothing is left or it stops.

Whoever dies in a batch has done nothing of it. Of two that carry on the same job one waits for the other's batch and
goes on behind it; the one whose turn is over finds nothing to do.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.utils.translation import gettext as _

from routing import faults
from routing.console.jobs import scopes, stages
from routing.console.jobs.scopes import Batch
from routing.console.jobs.stages import Plan, Stage
from routing.console.jobs.verbs import VERBS
from routing.errors import TransientError
from routing.ledger import database
from routing.ledger.job_tables import Job
from routing.ledger.job_tasks import enqueue
from routing.ledger.patience import is_passing, until_reachable

logger = logging.getLogger(__name__)

SECONDS = 60.0
"""Of one task; then it hands on to another, so that others of the domain have their turn."""
REACHABLE_WITHIN = 120.0
LONGEST_WAIT = 60.0


class Step(Enum):
    MOVED = "moved"
    WAITS = "waits"
    OVER = "over"


def carry_on(job_id: int, *, turn: int, seconds: float = SECONDS) -> str:
    """Safe to call again, also twice at once. Returns what the job is then."""
    deadline, step = time.monotonic() + seconds, Step.MOVED
    while step is Step.MOVED:
        try:
            step = until_reachable(lambda: _step(job_id, turn), seconds=REACHABLE_WITHIN)
        except Exception as error:
            if is_passing(error):
                raise TransientError(str(error)) from error
            logger.exception("Job %d is broken off", job_id)
            _end(job_id, turn, Job.State.FAILED, f"{type(error).__name__}: {error}")
            break
        if step is not Step.OVER and time.monotonic() > deadline:
            break
    if step is not Step.OVER:
        hand_on(job_id, turn, waits=step is Step.WAITS)
    return _jobs().values_list("state", flat=True).filter(pk=job_id).first() or "gone"


def hand_on(job_id: int, turn: int, *, waits: bool) -> bool:
    """Enqueue the task that carries it on. False if the turn is not ours any more: then somebody else has."""
    with database.atomic():
        if not _jobs().filter(pk=job_id, state=Job.State.OPEN, turn=turn).update(turn=turn + 1, lost=0):
            return False
        enqueue(job_id, turn=turn + 1, countdown=_wait(job_id) if waits else 0)
        faults.point("job.handed_on")
    return True


def _step(job_id: int, turn: int) -> Step:
    """One batch, and the job behind it."""
    with database.atomic():
        job = _jobs().select_for_update().filter(pk=job_id, state=Job.State.OPEN, turn=turn).first()
        if job is None:
            return Step.OVER
        plan = stages.read(job)
        step = _go_on(job) if plan is None else _go_on_in_stages(job, plan)
        faults.point("job.written")
    faults.point("job.committed")
    return step


def _go_on(job: Job) -> Step:
    done = _do(job, VERBS[job.verb].batch)
    _move(job, done, None)
    return _finish(job) if done.batch.last else Step.MOVED


def _go_on_in_stages(job: Job, plan: Plan) -> Step:
    """The next batch of the stage that it is in; or the look at what became of it."""
    stage = plan.current
    if stage is None:
        return _finish(job)
    if letter := stages.returned(job, plan):
        told = _("The same failure came back from what was replayed: dead letter %(number)d.") % {"number": letter.pk}
        return _finish(job, Job.State.RETURNED, told)
    if stage.full and not plan.is_last(stage):
        return _look(job, plan, stage)
    return _replay_of(job, plan, stage)


def _look(job: Job, plan: Plan, stage: Stage) -> Step:
    """At the tasks of a stage that is replayed; the next step looks once more whether the cause has returned."""
    if stages.in_flight(job, stage) or stages.is_unclear(job, plan):
        return Step.WAITS
    stage.over = stages.returned(job, plan) is None
    _move(job, None, plan)
    return Step.MOVED


def _replay_of(job: Job, plan: Plan, stage: Stage) -> Step:
    verb = VERBS[job.verb]
    stage.after = stage.after or int(job.position or 0)
    # The last stage is of whatever is left.
    done = _do(job, verb.batch if plan.is_last(stage) else min(stage.size - stage.done, verb.batch))
    stage.done += done.outcomes[verb.counts]
    stage.until = int(done.batch.position or 0)
    _move(job, done, plan)
    return _finish(job) if done.batch.last else Step.MOVED


@dataclass(frozen=True)
class Done:
    batch: Batch
    outcomes: Counter[str]


def _do(job: Job, size: int) -> Done:
    scope, verb = scopes.read(job.scope), VERBS[job.verb]
    batch = scope.batch(job.position, size)
    outcomes = verb.act(batch.keys, job.asked_by, getattr(scope, "options", {})) if batch.keys else {}
    return Done(batch, Counter(dict(outcomes)))


def _move(job: Job, done: Done | None, plan: Plan | None) -> None:
    """The row is locked."""
    fields: dict[str, Any] = {"moved_at": database.now(), "lost": 0}
    if plan is not None:
        fields["stages"] = str(plan)
    if done is not None:
        outcomes: Mapping[str, int] = Counter(json.loads(job.outcomes)) + done.outcomes
        fields |= {
            "position": done.batch.position,
            "seen": job.seen + done.batch.seen,
            "outcomes": json.dumps(outcomes),
        }
    _jobs().filter(pk=job.pk).update(**fields)


def _finish(job: Job, state: Job.State = Job.State.DONE, trouble: str = "") -> Step:
    _end(job.pk, job.turn, state, trouble)
    return Step.OVER


def _end(job_id: int, turn: int, state: Job.State, trouble: str) -> None:
    still_ours = _jobs().filter(pk=job_id, state=Job.State.OPEN, turn=turn)
    still_ours.update(state=state, trouble=trouble.replace("\0", "")[:2000], ended_at=database.now())


def _wait(job_id: int) -> float:
    """The longer nothing has moved, the longer until somebody looks again."""
    moved_at = _jobs().filter(pk=job_id).values_list("moved_at", flat=True).first()
    stood = (database.now() - moved_at).total_seconds() if moved_at else 0.0
    return min(max(2.0, stood / 4), LONGEST_WAIT)


def _jobs() -> Any:
    return Job.objects.using(database.using())
