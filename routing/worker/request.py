"""The worker's main process and its requests: what it has to record itself, a thread settles.

Celery acks a lost child's message before it stores anything, stores a hard time-out twice, and does both inside its
event loop, where a database that is away lets the broker's heartbeats lapse. Here a request is settled once, aside, and
acked after that.
"""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery.app.task import Context
from celery.exceptions import Reject, Terminated, TimeLimitExceeded, WorkerLostError
from celery.signals import task_failure, task_revoked
from celery.worker.request import Request as CeleryRequest
from celery.worker.state import task_ready
from django.db import connections

from routing import correlation, faults, tracing
from routing.broker.names import logical
from routing.ledger import lookup, reschedule, wake
from routing.ledger.patience import until_reachable
from routing.ledger.settle import Fence
from routing.worker import forks, hands, incarnation, paused
from routing.worker.admission import CRASHED, known_epoch
from routing.worker.backend import Crashed
from routing.worker.running import Run, storable
from routing.worker.stopping import STOP

logger = logging.getLogger(__name__)

INTERRUPTED = (WorkerLostError, SystemExit, KeyboardInterrupt, Terminated)


class Request(CeleryRequest):
    _is_settling = False

    def revoked(self) -> bool:
        """Whether it is not for the pool: also where its queue is paused. Then the consumer hands it back."""
        if not paused.is_paused(self.queue):
            return bool(super().revoked())
        PARKED.add(self)
        return True

    @property
    def queue(self) -> str:
        return logical(str((self.delivery_info or {}).get("routing_key") or ""))

    def hand_back(self) -> None:
        """To the ledger, unless a child has begun it: the copy that the pool may hold is of an older epoch then."""
        in_pool = self not in PARKED
        PARKED.discard(self)
        if not self._is_settling:
            self._is_settling = True
            SETTLEMENTS.put(self._job(self._put_back, then=partial(self._is_back, in_pool)))

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A hard limit: the child is about to be killed, and cannot record it."""
        with correlation.at(correlation.work_of(self)):
            if soft:
                super().on_timeout(soft, timeout)
            else:
                self._time_out(TimeLimitExceeded(timeout))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """With ``return_ok`` the child has settled already. Else it is gone, or could not tell what came of it."""
        with correlation.at(correlation.work_of(self)):
            self._fail_as_told(exc_info, send_failed_event, return_ok)

    def _fail_as_told(self, exc_info: Any, send_failed_event: bool, return_ok: bool) -> None:
        exc = exc_info.exception
        exc = exc.exc if isinstance(exc, ExceptionWithTraceback) else exc
        if STOP.is_interrupting and isinstance(exc, INTERRUPTED):
            # The worker gives it back as it leaves: it was not its own doing.
            task_ready(self)
        elif isinstance(exc, TimeLimitExceeded):
            self._time_out(exc)
        elif isinstance(exc, WorkerLostError | SystemExit | KeyboardInterrupt):
            step = self._step()
            self._give_back(f"The process that ran it died: {exc}", step)
        elif return_ok and isinstance(exc, MemoryError | Reject):
            # A body's own, and recorded. Celery would end the whole worker over the one, and hand back the other.
            task_ready(self)
            self.acknowledge()
        elif return_ok or isinstance(exc, Terminated):
            super().on_failure(exc_info, send_failed_event, return_ok)
        else:
            self._settle_aside(lambda: self._fail(exc))

    def _time_out(self, exc: TimeLimitExceeded) -> None:
        """Before the child is killed; it may be in the midst of recording how its body ended."""
        step = self._step()
        if step in (hands.Step.CLAIMING, hands.Step.ENDING):
            # The limit is the body's. What took so long is the database.
            self._give_back("It waited for the database beyond its time limit.", step)
        else:
            self._settle_aside(lambda: self._fail(exc))

    def _give_back(self, error: str, step: hands.Step | None) -> None:
        if not self._is_settling:
            logger.warning("%s[%s] is given back: %s", self.name, self.id, error)
        self._settle_aside(lambda: self._release(error, step))

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        self.send_event("task-revoked", terminated=terminated, signum=signum, expired=expired)
        self._already_revoked = True
        self._settle_aside(lambda: self._revoke(reason))
        context = self._context  # type: ignore[attr-defined]
        task_revoked.send(sender=self.task, request=context, terminated=terminated, signum=signum, expired=expired)

    def _settle_aside(self, settle: Callable[[], Any]) -> None:
        """Once for each request, whatever Celery tells of it afterwards."""
        if self._is_settling:
            return
        self._is_settling = True
        task_ready(self)
        SETTLEMENTS.put(self._job(settle, then=self._settled))

    def _job(self, settle: Callable[[], Any], *, then: Callable[[Any], Any]) -> "Job":
        return Job(self.id, settle, then=then, work=correlation.work_of(self))

    def _put_back(self) -> bool:
        epoch = until_reachable(lambda: known_epoch(self._context))  # type: ignore[attr-defined]
        return until_reachable(lambda: reschedule.hand_back(Fence(task_id=self.id, epoch=epoch)))

    def _is_back(self, in_pool: bool, won: bool | None) -> None:
        if in_pool and not won:
            # A child runs it, or will find out why it is not to be run.
            self._is_settling = False
            return
        task_ready(self)
        if won:
            self.acknowledge()
        else:
            self.reject(requeue=True)

    def _step(self) -> hands.Step | None:
        """What its child is doing, or was when it ended."""
        return hands.step_of(int(self.worker_pid or 0))

    def _settled(self, event: Mapping[str, Any] | None) -> None:
        self.acknowledge()
        if event is not None:
            self.send_event("task-failed", **event)

    def _fail(self, exc: Exception) -> Mapping[str, Any] | None:
        """The event that tells of it, unless it has come to another end."""
        context = self._fenced()
        logger.error("%s[%s] has failed: %s", self.name, self.id, exc)
        self.task.backend.mark_as_failure(self.id, exc, request=context)
        if not context.ledger_run.won:
            return None
        task_failure.send(
            sender=self.task,
            task_id=self.id,
            exception=exc,
            args=self.args,
            kwargs=self.kwargs,
            traceback=None,
            einfo=None,
        )
        return {"exception": repr(exc), "traceback": ""}

    def _revoke(self, reason: str) -> None:
        self.task.backend.mark_as_revoked(self.id, reason, request=self._fenced())

    def _release(self, error: str, step: hands.Step | None) -> None:
        """Run it again, unless it has come to its outcome, or is in the hands of another child."""
        context, had_begun = self._fenced(), step is not hands.Step.CLAIMING
        run: Run = context.ledger_run
        message = until_reachable(lambda: lookup.in_flight(self.id))
        if message is None:
            return
        if message.at_most_once and message.runs and had_begun:
            run.dead_letter = run.reason = "crashed"
            self.task.backend.mark_as_failure(self.id, Crashed(CRASHED), request=context)
            return
        release = partial(reschedule.release, run.fence, error=storable(error), counted=had_begun)
        tracing.settled(run.told, tracing.RELEASED, lambda: until_reachable(release), error=error)
        wake.wake()

    def _fenced(self) -> Any:
        """The request's context, with leave to change the message only where this request's child had claimed it."""
        context: Any = Context(dict(vars(self._context)))  # type: ignore[attr-defined]
        # A foreign message that no child has claimed is not in the ledger yet, and its broker copy is about to go.
        epoch = until_reachable(lambda: known_epoch(context))
        context.ledger_run = Run(
            # A copy that never reached a child has no pid; no row has -1.
            Fence(task_id=self.id, epoch=epoch, owner=incarnation.owner(), pid=int(self.worker_pid or -1))
        )
        if tracing.active is not None:
            context.ledger_run.told = tracing.active.told(context)
        return context


PARKED: set[Request] = set()
"""Of paused queues, and not given to the pool: in the main thread's hands."""


class Job:
    """What is to be settled, and what the main thread is to do after that, such as the ack."""

    def __init__(
        self,
        task_id: str,
        settle: Callable[[], Any],
        *,
        then: Callable[[Any], Any] | None = None,
        work: correlation.Work | None = None,
    ) -> None:
        """``then`` gets what ``settle`` returned, or None if that failed; ``work`` is what the log tells of it."""
        self.task_id = task_id
        self.then = then
        self.work = work
        self._settle = settle

    def run(self) -> Any:
        faults.point("main.settling")
        answer = self._settle()
        faults.point("main.settled")
        return answer


class Settlements:
    """A thread with a connection of its own, which is started with the first job."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.pending: list[str] = []
        """The tasks of the jobs that are not done yet."""
        self.call_soon: Callable[[Callable[[], Any]], Any] | None = None
        """Has the main thread do something: the consumer sets it. Acks are for the thread that has the channel."""

    def put(self, job: Job) -> None:
        self.pending.append(job.task_id)
        self._jobs.put(job)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="settlements", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            job, answer = self._jobs.get(), None
            with forks.held_off(), correlation.at(job.work):
                try:
                    answer = job.run()
                except BaseException:
                    # Acked all the same, or a pool that may hold one message would stand still. The row is left
                    # without anybody at work on it, which routing/worker/strays.py finds.
                    logger.exception("Cannot settle %s", job.task_id, extra={"task_id": job.task_id})
                finally:
                    # Closing takes locks, too: a child forked meanwhile would wait for them for ever.
                    connections.close_all()
                    self.pending.remove(job.task_id)
            if job.then is not None:
                (self.call_soon or _now)(partial(job.then, answer))


def _now(call: Callable[[], Any]) -> None:
    call()


SETTLEMENTS = Settlements()
