"""The worker's main process and its requests: what it has to record itself, a thread settles.

Celery acks a lost child's message before it stores anything, stores a hard time-out twice, and does both inside its
event loop, where a database that is away lets the broker's heartbeats lapse. Here a request is settled once, aside, and
acked after that.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery.app.task import Context
from celery.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request as CeleryRequest
from celery.worker.state import task_ready
from django.db import connections

from routing import faults
from routing.broker.sending import EPOCH_HEADER
from routing.ledger import lookup, reschedule, wake
from routing.ledger.adoption import EPOCH
from routing.ledger.patience import until_reachable
from routing.ledger.settle import Fence
from routing.worker import incarnation
from routing.worker.admission import CRASHED, Crashed
from routing.worker.running import Run

logger = logging.getLogger(__name__)


class Request(CeleryRequest):
    _is_settling = False

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A hard limit: the child is about to be killed, and cannot record it."""
        if soft:
            super().on_timeout(soft, timeout)
            return
        logger.error("Hard time limit (%ss) exceeded for %s[%s]", timeout, self.name, self.id)
        self._settle_aside(lambda: self._fail(TimeLimitExceeded(timeout)))

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """With ``return_ok`` the child has settled already. Else it is gone: killed, lost, or told to leave."""
        exc = exc_info.exception
        exc = exc.exc if isinstance(exc, ExceptionWithTraceback) else exc
        if isinstance(exc, TimeLimitExceeded):
            self._settle_aside(lambda: self._fail(exc))
        elif isinstance(exc, WorkerLostError | SystemExit | KeyboardInterrupt):
            logger.error("%s[%s]: the process that ran it is gone: %s", self.name, self.id, exc)
            self._settle_aside(self._release)
        else:
            super().on_failure(exc_info, send_failed_event, return_ok)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        self.send_event("task-revoked", terminated=terminated, signum=signum, expired=expired)
        self._already_revoked = True
        self._settle_aside(lambda: self._revoke(reason))

    def _settle_aside(self, settle: Callable[[], None]) -> None:
        """Once for each request, whatever Celery tells of it afterwards."""
        if self._is_settling:
            return
        self._is_settling = True
        task_ready(self)
        SETTLEMENTS.put(Job(self.id, settle, then=self.acknowledge))

    def _fail(self, exc: Exception) -> None:
        self.task.backend.mark_as_failure(self.id, exc, request=self._fenced())
        self.send_event("task-failed", exception=repr(exc), traceback="")

    def _revoke(self, reason: str) -> None:
        self.task.backend.mark_as_revoked(self.id, reason, request=self._fenced())

    def _release(self) -> None:
        """Run it again, unless it has come to its outcome, or is in the hands of another child."""
        message = until_reachable(lambda: lookup.in_flight(self.id))
        if message is None:
            return
        context = self._fenced()
        run: Run = context.ledger_run
        if message.at_most_once and message.runs:
            run.dead_letter = run.reason = "crashed"
            self.task.backend.mark_as_failure(self.id, Crashed(CRASHED), request=context)
            return
        until_reachable(lambda: reschedule.release(run.fence, error="The process that ran it died."))
        wake.wake()

    def _fenced(self) -> Any:
        """The request's context, with leave to change the message only where this request's child had claimed it."""
        epoch = self.request_dict.get(EPOCH_HEADER, EPOCH)
        context: Any = Context(dict(vars(self._context)))  # type: ignore[attr-defined]
        context.ledger_run = Run(
            # A copy that never reached a child has no pid; no row has -1.
            Fence(task_id=self.id, epoch=epoch, owner=incarnation.owner(), pid=int(self.worker_pid or -1))
        )
        return context


class Job:
    """What is to be settled, and what the main thread is to do after that, such as the ack."""

    def __init__(self, task_id: str, settle: Callable[[], Any], *, then: Callable[[], Any] | None = None) -> None:
        self.task_id = task_id
        self.then = then
        self._settle = settle

    def run(self) -> None:
        faults.point("main.settling")
        self._settle()
        faults.point("main.settled")


class Settlements:
    """A thread with a connection of its own, which is started with the first job: children are forked before."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.call_soon: Callable[[Callable[[], Any]], Any] | None = None
        """Has the main thread do something: the consumer sets it. Acks are for the thread that has the channel."""

    def put(self, job: Job) -> None:
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="settlements", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.run()
            except Exception:
                # Not acked: the broker gives it again when this worker ends, and the ledger knows its owner.
                logger.exception("Cannot settle %s", job.task_id)
                continue
            finally:
                connections.close_all()
            if job.then is not None:
                (self.call_soon or _now)(job.then)


def _now(call: Callable[[], Any]) -> None:
    call()


SETTLEMENTS = Settlements()
