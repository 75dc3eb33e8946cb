"""Whether a delivered message is run: the claim, and what becomes of those that are refused."""

import json
import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from celery import current_app, signals, states
from celery.exceptions import Ignore
from celery.utils.log import get_task_logger
from kombu.serialization import dumps

from routing import correlation, faults, tracing
from routing.broker.names import logical
from routing.broker.sending import EPOCH_HEADER
from routing.domains import Domain, registry
from routing.ledger import adoption, claim, lookup, reschedule, wake
from routing.ledger.claim import Claim, Refusal
from routing.ledger.enqueue import Envelope
from routing.ledger.patience import until_reachable
from routing.ledger.settle import Fence
from routing.sealed_messages import sealed_parts
from routing.worker import hands, incarnation, paused
from routing.worker.door import moment
from routing.worker.running import Run, storable

if TYPE_CHECKING:
    from routing.worker.task import Task

logger = get_task_logger(__name__)

UNCLAIMED_PAUSE = timedelta(seconds=30)
CRASHED = "Its worker died while it ran, and it may not start twice (acks_late=False). What it did is not known."
POISON = (
    "{task} was started {runs} times and each time its process died before it finished, so it is set aside. "
    "Look for what kills it (memory, a native library, a signal) in the pool's log."
)
_HEADERS = (
    *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id"),
    *("parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers"),
    "stamps",
)


class _Local(threading.local):
    """What this thread was given last."""

    task_id: str | None = None
    run: Run | None = None


_local = _Local()


def admit(task: "Task", request: Any) -> Run:
    """Claim the message of the task's request, and return its run. Raises Ignore where it is not to be run.

    It waits for a database that is away, as long as that takes: the task has not begun, so it cannot have failed.
    """
    if not hands.begin(request.id):
        logger.info("%s[%s] is not run: this process is running it", task.name, request.id)
        raise Ignore
    _local.task_id, _local.run = request.id, None
    try:
        run = until_reachable(lambda: _claim(task, request))
    except Ignore:
        raise
    except Exception as error:
        # Celery would record a failure of a task that has not begun.
        logger.exception("%s[%s] cannot be claimed", task.name, request.id)
        _give_back(request, error)
        raise Ignore from error
    faults.point("claim.committed")
    _local.run = request.ledger_run = run
    if tracing.active is not None:
        run.told = tracing.active.begin(request)
    return run


def dismiss(task_id: str, task: "Task", retval: Any, state: str | None, **_: Any) -> None:
    """The tracer is done with the task: whatever happened, its run does not stay open."""
    if _local.task_id != task_id:
        return
    run, _local.task_id, _local.run = _local.run, None, None
    try:
        if run is not None and not run.closed:
            run.conclude(task, state, retval)
    finally:
        hands.end(task_id)
        if tracing.active is not None and run is not None:
            tracing.active.end(run.told, retval, run.secrets)


signals.task_prerun.connect(correlation.begin_task, weak=False, dispatch_uid="routing.correlation.begin")
signals.task_postrun.connect(dismiss, weak=False, dispatch_uid="routing.worker.admission")
# Last: what the one before it logs and enqueues belongs to the task, too.
signals.task_postrun.connect(correlation.end_task, weak=False, dispatch_uid="routing.correlation.end")


def _claim(task: "Task", request: Any) -> Run:
    owner, pid, epoch = incarnation.owner(), os.getpid(), known_epoch(request)
    run_limit = (task.domain() or Domain).run_limit
    if _is_paused(request) and reschedule.hand_back(Fence(task_id=request.id, epoch=epoch)):
        _stand_still(task)
    answer = claim.claim(request.id, epoch=epoch, owner=owner, pid=pid, run_limit=run_limit, durable=task.at_most_once)
    if isinstance(answer, Claim):
        fence = Fence(task_id=request.id, epoch=epoch, owner=owner, pid=pid)
        faults.point("claim.answered")
        # Once more: the pause may have come while the database answered.
        if _is_paused(request):
            reschedule.hand_back(fence)
            _stand_still(task)
        return Run(fence)
    logger.info("%s[%s] is not run: %s", task.name, request.id, answer.value)
    _refuse(task, answer)
    raise Ignore


def _is_paused(request: Any) -> bool:
    return paused.is_paused((request.delivery_info or {}).get("routing_key"))


def _stand_still(task: "Task") -> NoReturn:
    """Raises Ignore."""
    logger.info("%s[%s] is not run, and is back in the ledger: its queue is paused", task.name, task.request.id)
    raise Ignore


def _refuse(task: "Task", refusal: Refusal) -> None:
    request: Any = task.request
    backend: Any = task.backend
    if refusal is Refusal.FINISHED:
        claim.drop_doubled(request.id)
    elif refusal is Refusal.OWNED:
        claim.make_durable()
    elif refusal is Refusal.UNKNOWN:
        adoption.keep_unknown(envelope_of(request))
    elif message := lookup.in_flight(request.id):
        if refusal is Refusal.EXPIRED:
            backend.settle_unrun(message, status=states.REVOKED, reason="expired", error="expired")
        elif refusal is Refusal.STARTED_ONCE:
            backend.settle_unrun(message, status=states.FAILURE, reason="crashed", error=CRASHED)
        elif refusal is Refusal.POISON:
            error = POISON.format(task=task.name, runs=message.runs)
            logger.error("%s[%s]: %s", task.name, request.id, error)
            backend.settle_unrun(message, status=states.FAILURE, reason="poison", error=error)


def _give_back(request: Any, error: Exception) -> None:
    """Whether its claim was committed or not, this body has not begun."""
    epoch = until_reachable(lambda: known_epoch(request))
    fence = Fence(task_id=request.id, epoch=epoch, owner=incarnation.owner(), pid=os.getpid())
    reason, pause = storable(f"It could not be claimed: {error!r}"), UNCLAIMED_PAUSE.total_seconds()
    until_reachable(lambda: reschedule.release(fence, error=reason, delay=pause, counted=False))
    wake.wake()


def known_epoch(request: Any) -> int:
    """The message's, which the ledger knows; one that a program published by itself is adopted."""
    epoch: int | None = getattr(request, EPOCH_HEADER, None)
    if epoch is None:
        adoption.adopt(envelope_of(request))
    return adoption.EPOCH if epoch is None else epoch


def envelope_of(request: Any) -> Envelope:
    """A message as it arrived. Celery has taken it apart; the exact bytes are with the broker."""
    delivery = request.delivery_info or {}
    queue = logical(delivery.get("routing_key") or "")
    domain = registry().of_queue(queue) or registry().of_task(request.task)
    custom = {name: value for name, value in (request.headers or {}).items() if name != EPOCH_HEADER}
    # Its times are the ledger's from here on.
    headers = {**custom, **{name: getattr(request, name, None) for name in _HEADERS}, "eta": None, "expires": None}
    embed = {name: getattr(request, name) for name in ("callbacks", "errbacks", "chain", "chord")}
    parts = sealed_parts(request.task, [list(request.args or ()), dict(request.kwargs or {}), embed])
    _, _, body = dumps(parts, serializer="json")
    return Envelope(
        id=request.id,
        task=request.task,
        domain=domain.name if domain else queue,
        queue=queue if registry().of_queue(queue) else (domain.queue() if domain else queue),
        headers=json.dumps(headers, default=str),
        properties=json.dumps({"correlation_id": request.correlation_id, "reply_to": request.reply_to or ""}),
        body=body,
        attempt=(request.retries or 0) + 1,
        at_most_once=_may_start_once(request.task),
        expires=moment(request.expires),
        root_id=request.root_id,
        parent_id=request.parent_id,
    )


def _may_start_once(name: str) -> bool:
    return bool(getattr(current_app.tasks.get(name), "at_most_once", False))
