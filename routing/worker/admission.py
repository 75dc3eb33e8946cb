"""Whether a delivered message is run: the claim, and what becomes of those that are refused."""

import json
import os
from typing import TYPE_CHECKING, Any

from celery import states
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_task_logger
from django.db import InterfaceError, OperationalError
from kombu.serialization import dumps

from routing import faults
from routing.broker.sending import EPOCH_HEADER
from routing.domains import registry
from routing.ledger import adoption, claim, lookup
from routing.ledger.claim import Claim, Refusal
from routing.ledger.enqueue import Envelope
from routing.ledger.patience import until_reachable
from routing.ledger.settle import Fence
from routing.worker import incarnation
from routing.worker.running import Run

if TYPE_CHECKING:
    from routing.worker.task import Task

logger = get_task_logger(__name__)

CLAIM_WITHIN = 60.0
"""Seconds that a claim waits for a database that is away, if the task's own limits leave it so many."""
_HEADERS = (
    *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id"),
    *("parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers"),
    "stamps",
)


class Poison(Exception):
    """A task that keeps killing the worker that runs it."""


class Crashed(Exception):
    """A task that may start only once, and whose worker died."""


def admit(task: "Task") -> Run:
    """Claim the message of the task's request, and return its run. Raises Ignore where it is not to be run.

    Where the database stays away, the message goes back to the broker (Reject): the task has not begun, so it cannot
    have failed.
    """
    request: Any = task.request
    try:
        run = until_reachable(lambda: _claim(task), seconds=_patience(task))
    except (Ignore, Reject):
        raise
    except (OperationalError, InterfaceError) as error:
        raise Reject(f"the database cannot be reached: {error}", requeue=True) from error
    except Exception as error:
        # Celery would record a failure of a task that has not begun.
        logger.exception("%s[%s] cannot be claimed", task.name, task.request.id)
        raise Reject(f"it cannot be claimed: {error!r}", requeue=True) from error
    faults.point("claim.committed")
    request.ledger_run = run
    domain = task.domain()
    if domain and run.runs > domain.run_limit:
        _set_aside(task, run, run.runs - 1)
    return run


def _claim(task: "Task") -> Run:
    request: Any = task.request
    owner, pid = incarnation.owner(), os.getpid()
    epoch = getattr(request, EPOCH_HEADER, None)
    if epoch is None:
        # Published by a program that knows nothing of the ledger.
        epoch = adoption.EPOCH
        adoption.adopt(_envelope(request))
    answer = claim.claim(request.id, epoch=epoch, owner=owner, pid=pid, durable=task.at_most_once)
    if isinstance(answer, Claim):
        return Run(Fence(task_id=request.id, epoch=epoch, owner=owner, pid=pid), runs=answer.runs)
    logger.info("%s[%s] is not run: %s", task.name, request.id, answer.value)
    _refuse(task, answer)
    raise Ignore


def _refuse(task: "Task", refusal: Refusal) -> None:
    request: Any = task.request
    backend: Any = task.backend
    if refusal is Refusal.FINISHED:
        claim.drop_doubled(request.id)
    elif refusal is Refusal.UNKNOWN:
        adoption.keep_unknown(_envelope(request))
    elif refusal in (Refusal.EXPIRED, Refusal.STARTED_ONCE) and (message := lookup.in_flight(request.id)):
        if refusal is Refusal.EXPIRED:
            outcome = {"status": states.REVOKED, "reason": "expired", "error": "expired"}
        else:
            outcome = {"status": states.FAILURE, "reason": "crashed", "error": CRASHED, "dead_letter": "crashed"}
        backend.settle_unrun(message, **outcome)


CRASHED = "Its worker died while it ran, and it may not start twice (acks_late=False). What it did is not known."


def _set_aside(task: "Task", run: Run, runs: int) -> None:
    poison = Poison(
        f"{task.name} was started {runs} times and each time its worker died before it finished, so it is set aside. "
        "Look for what kills it (memory, a native library, a signal) in the pool's log."
    )
    logger.error("%s[%s]: %s", task.name, run.task_id, poison)
    run.dead_letter = run.reason = "poison"
    run.runs = runs
    task.backend.mark_as_failure(run.task_id, poison, request=task.request)
    raise Ignore


def _patience(task: "Task") -> float:
    hard, soft = task.request.timelimit or (None, None)
    limits = filter(None, (hard, soft, task.time_limit, task.soft_time_limit))
    return float(min([CLAIM_WITHIN, *(limit / 2 for limit in limits)]))


def _envelope(request: Any) -> Envelope:
    """A message as it arrived. Celery has taken it apart; the exact bytes are with the broker."""
    delivery = request.delivery_info or {}
    queue = delivery.get("routing_key") or ""
    domain = registry().of_queue(queue) or registry().of_task(request.task)
    custom = {name: value for name, value in (request.headers or {}).items() if name != EPOCH_HEADER}
    headers = {**custom, **{name: getattr(request, name, None) for name in _HEADERS}}
    embed = {name: getattr(request, name) for name in ("callbacks", "errbacks", "chain", "chord")}
    _, _, body = dumps([list(request.args or ()), dict(request.kwargs or {}), embed], serializer="json")
    return Envelope(
        id=request.id,
        task=request.task,
        domain=domain.name if domain else queue,
        queue=queue if registry().of_queue(queue) else (domain.queue() if domain else queue),
        headers=json.dumps(headers, default=str),
        properties=json.dumps({"correlation_id": request.correlation_id, "reply_to": request.reply_to or ""}),
        body=body,
        attempt=(request.retries or 0) + 1,
        root_id=request.root_id,
        parent_id=request.parent_id,
    )
