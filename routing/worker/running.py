"""One run of a task in a worker, from its claim to the one statement that ends it."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from celery import states
from celery.canvas import group, signature
from celery.exceptions import Ignore, Reject, Retry
from django.db import InterfaceError, OperationalError, transaction

from routing import faults
from routing.errors import TransientError
from routing.ledger import continuation, database, reschedule, wake
from routing.ledger.completion import complete, write
from routing.ledger.continuation import Continuation, Part
from routing.ledger.enqueue import Envelope
from routing.ledger.patience import is_passing, until_reachable
from routing.ledger.settle import Fence, Outcome
from routing.worker.chords import finish_chord

if TYPE_CHECKING:
    from routing.worker.task import Task

logger = logging.getLogger(__name__)

REJECTED_PAUSE = timedelta(seconds=5)
"""A body that rejects its message with ``requeue=True`` gets it again after this, not at once and for ever."""


class Superseded(Exception):
    """Somebody else decided over this task meanwhile; what its run did is discarded."""


class Run:
    """What this process may do with a message, and what its body has asked for.

    ``closed`` once its end is recorded, or found to be no longer ours to record.
    """

    def __init__(self, fence: Fence, *, runs: int = 0) -> None:
        self.fence = fence
        self.task_id = fence.task_id
        self.runs = runs
        self.closed = False
        self.entered = False
        self.won = False
        self.dead_letter = "failed"
        self.reason: str | None = None
        self.declared: tuple[str, Any] | None = None
        """State and result that the body has given by ``update_state`` with an outcome's state."""
        self.sent_again: Envelope | None = None
        """Its own task, as ``retry`` or ``replace`` has sent it."""
        self.replacement: Continuation | None = None

    def again(self, envelope: Envelope) -> None:
        """The body sent its own task: a wish, that counts when the body has ended."""
        self.sent_again = envelope

    def execute(self, task: "Task", body: Callable[[], Any]) -> Any:
        """Call the body and record what it came to, but a failure: that is the tracer's, through the backend."""
        self.entered = True
        try:
            value = self._atomically(task, body) if task.atomic else self._plainly(task, body)
        except Retry as error:
            self._retry(error)
            raise
        except Ignore:
            self._ignored(task)
            raise
        except Reject as rejected:
            self._rejected(task, rejected)
        except Superseded:
            raise Ignore from None
        faults.point("run.settled")
        return value

    def complete(self, outcome: Outcome, sent: Continuation) -> bool:
        """Record the outcome with what follows from it. False if that is no longer ours: nothing is written."""
        faults.point("run.ended")
        self.won = until_reachable(lambda: complete(self.fence, outcome, sent, finish_chord=finish_chord))
        self.closed = True
        if not self.won:
            logger.warning("%s: its outcome %s is discarded, another run decides over it", self.task_id, outcome.status)
            return False
        if sent:
            transaction.on_commit(wake.wake, using=database.using())
        return True

    def _plainly(self, task: "Task", body: Callable[[], Any]) -> Any:
        value = _called(task, body)
        self._end(task, value)
        return value

    def _atomically(self, task: "Task", body: Callable[[], Any]) -> Any:
        """Body, continuation and outcome in one transaction: all of it happens, or none.

        A connection lost before COMMIT was answered leaves open whether it took place. The release answers that: it
        finds the row only if the transaction, which deletes it, was rolled back.
        """
        try:
            with database.atomic():
                value = _called(task, body)
                self._end(task, value)
                faults.point("run.uncommitted")
        except (OperationalError, InterfaceError) as error:
            self.closed = False
            if not is_passing(error):
                raise
            database.connection().close()
            self._release(f"The database went away under it: {error}")
            raise Ignore from error
        except BaseException:
            self.closed = False
            raise
        return value

    def _end(self, task: "Task", value: Any) -> None:
        if self.sent_again is not None:
            # ``retry(throw=False)``: the body went on, but wants to run again.
            raise Retry("wished for by the body")
        request: Any = task.request
        with continuation.apart() as sent:
            _dispatch(task, value)
        if request.chord and request.group:
            sent.parts.append(Part(self.task_id, request.group, request.chord))
        outcome = _backend(task).outcome(request, states.SUCCESS, value)
        if not self.complete(outcome, sent) and task.atomic:
            raise Superseded
        # Celery would send them after this, and a second time.
        request.callbacks = request.chain = request.chord = None

    def _retry(self, error: Retry) -> None:
        envelope = self.sent_again
        if envelope is not None:
            reason = f"{type(error.exc).__name__}: {error.exc}" if error.exc else str(error)
            self._close(lambda: reschedule.retry(self.fence, envelope, error=storable(reason)))

    def _ignored(self, task: "Task") -> None:
        if self.closed:
            return
        if self.replacement is not None:
            self._close(self._replace)
        elif self.declared is not None:
            state, result = self.declared
            self.complete(_backend(task).outcome(task.request, state, result), Continuation())
        else:
            with continuation.apart() as sent:
                if task.request.chord:
                    _backend(task).on_chord_part_return(task.request, states.IGNORED, None)
            self.complete(_backend(task).outcome(task.request, states.IGNORED, None), sent)

    def _replace(self) -> bool:
        sent, envelope = self.replacement or Continuation(), self.sent_again
        with database.atomic():
            won = reschedule.replace(self.fence, envelope) if envelope else reschedule.set_aside(self.fence)
            if won:
                write(sent, finish_chord=finish_chord)
        return won

    def _rejected(self, task: "Task", rejected: Any) -> None:
        """The message has done its part once claimed; what a rejection asks for is the ledger's to do."""
        if rejected.requeue:
            self._release(f"Rejected by its body: {rejected.reason}", delay=REJECTED_PAUSE)
        else:
            _backend(task).mark_as_failure(self.task_id, rejected, request=task.request)
        raise Ignore from rejected

    def _release(self, error: str, *, delay: timedelta = timedelta()) -> None:
        self._close(lambda: reschedule.release(self.fence, error=storable(error), delay=delay.total_seconds()))

    def _close(self, change: Callable[[], bool]) -> None:
        faults.point("run.rescheduling")
        if not until_reachable(change):
            logger.warning("%s: another run decides over it; this one's wish is discarded", self.task_id)
        self.closed = True
        faults.point("run.rescheduled")
        transaction.on_commit(wake.wake, using=database.using())


def _called(task: "Task", body: Callable[[], Any]) -> Any:
    """The body's value. A decorator's own ``autoretry_for`` comes on top of TransientError, not in its place."""
    try:
        return body()
    except TransientError as error:
        return task.retry(exc=error)


def run_of(request: Any) -> Run | None:
    return getattr(request, "ledger_run", None)


def storable(text: str) -> str:
    """PostgreSQL cannot store a NUL, nor half of a surrogate pair."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _backend(task: "Task") -> Any:
    """Ours, of which Celery's stubs know nothing."""
    return task.backend


def _dispatch(task: "Task", value: Any) -> None:
    """Send links, then the chain's next step, as Celery's tracer does."""
    request: Any = task.request
    app = task.app
    inherited = request.delivery_info.get("priority") if app.conf.task_inherit_parent_priority else None
    common: dict[str, Any] = {"parent_id": request.id, "root_id": request.root_id or request.id, "priority": inherited}
    links = [signature(link, app=app) for link in request.callbacks or ()]
    together = [link for link in links if not isinstance(link, group)]
    for link in links:
        if isinstance(link, group):
            link.apply_async((value,), **common)
    if len(together) > 1:
        group(together, app=app).apply_async((value,), **common)
    elif together:
        together[0].apply_async((value,), **common)
    if request.chain:
        *later, following = request.chain
        signature(following, app=app).apply_async((value,), chain=later, **common)
