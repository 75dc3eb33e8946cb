"""One run of a task in a worker, from its claim to the one statement that ends it."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from billiard.common import terminate_handler_fired  # type: ignore[attr-defined]
from celery import states
from celery.canvas import group, signature
from celery.exceptions import Ignore, Reject, Retry
from django.db import DatabaseError, InterfaceError, transaction

from routing import faults, tracing
from routing.errors import NotYet, TransientError
from routing.last_step import LastStep
from routing.ledger import continuation, database, reschedule, wake
from routing.ledger.completion import complete, write
from routing.ledger.continuation import Continuation, Part
from routing.ledger.enqueue import Envelope
from routing.ledger.patience import is_passing, until_reachable
from routing.ledger.settle import Fence, Outcome
from routing.worker import hands
from routing.worker.chords import finish_chord

if TYPE_CHECKING:
    from routing.worker.task import Task

logger = logging.getLogger(__name__)

REJECTED_PAUSE = timedelta(seconds=5)
"""A body that rejects its message with ``requeue=True`` gets it again after this, not at once and for ever."""
ABANDONED_PAUSE = timedelta(seconds=30)
LONGEST_SIDESTEP = 2.0
"""Seconds that an atomic task waits at most before it runs again, so that two in each other's way do not meet anew."""


class Superseded(Exception):
    """Somebody else decided over this task meanwhile; what its run did is discarded."""


class Exited(Exception):
    """A body that asked its process to end, by ``sys.exit()`` or the like: the task has failed, and no more."""


class Run:
    """What this process may do with a message, and what its body has asked for.

    ``closed`` once its end is recorded, or found to be no longer ours to record.
    """

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        self.task_id = fence.task_id
        self.closed = False
        self.entered = False
        self.atomic = False
        self.won = False
        self.dead_letter = "failed"
        self.reason: str | None = None
        self.about: Mapping[str, Any] = {}
        """What else the result is to tell of its end."""
        self.declared: tuple[str, Any] | None = None
        """State and result that the body has given by ``update_state`` with an outcome's state."""
        self.sent_again: Envelope | None = None
        """Its own task, as ``retry`` or ``replace`` has sent it."""
        self.replacement: Continuation | None = None
        self.told: Any = None
        """What its spans tell, where there are traces."""
        self.secrets: Sequence[Any] = ()
        """Its task's secret arguments, once its body has got them."""

    def again(self, envelope: Envelope) -> None:
        """The body sent its own task: a wish, that counts when the body has ended."""
        self.sent_again = envelope

    def execute(self, task: "Task", request: Any, body: Callable[[], Any]) -> Any:
        """Call the body and record what it came to, but a failure: that is the tracer's, through the backend.

        ``request`` is the task's, which looks for it anew at each turn.
        """
        self.entered, self.atomic = True, task.atomic
        try:
            if hands.is_late():
                self.release("Its time limit passed while it waited for the database.", counted=False)
                raise Ignore
            value = self._atomically(task, request, body) if task.atomic else self._plainly(task, request, body)
        except Retry as error:
            self._retry(task, error)
            raise
        except NotYet as error:
            self.release(str(error), delay=error.after, counted=False)
            raise Ignore from error
        except Reject as rejected:
            self._reject(task, rejected)
            raise Ignore from rejected
        except Superseded:
            raise Ignore from None
        # Celery would send them after this, and a second time.
        request.callbacks = request.chain = request.chord = None
        faults.point("run.settled")
        return value

    def complete(self, outcome: Outcome, sent: Continuation) -> bool:
        """Record the outcome with what follows from it. False if that is no longer ours: nothing is written."""
        faults.point("run.ended")
        written = partial(complete, self.fence, outcome, sent, finish_chord=finish_chord)
        self.won = tracing.settled(self.told, outcome.status, lambda: until_reachable(written), error=outcome.error)
        self.closed = True
        if not self.won:
            logger.warning("%s: its outcome %s is discarded, another run decides over it", self.task_id, outcome.status)
            return False
        if sent:
            transaction.on_commit(wake.wake, using=database.using())
        return True

    def conclude(self, task: "Task", state: str | None, retval: Any) -> None:
        """The tracer is done with the task, and the run still open: its body was never called, or went another way."""
        if terminate_handler_fired():
            # Whoever ended this process knows why, and records it: a time limit, a revocation, the worker's end.
            return
        if state == states.IGNORED:
            self._ignored(task)
        elif isinstance(retval, Reject):
            self._reject(task, retval)
        else:
            logger.error("%s: its run ended without an outcome; it runs again", self.task_id)
            self.release("Its run ended without an outcome; the worker's log tells why.", delay=ABANDONED_PAUSE)

    def release(self, error: str, *, delay: timedelta = timedelta(), counted: bool = True) -> None:
        """Have it run again, without an outcome of this run."""
        how: dict[str, Any] = {"error": storable(error), "delay": delay.total_seconds(), "counted": counted}
        self._close(tracing.RELEASED, partial(reschedule.release, self.fence, **how), due=delay.total_seconds())

    def _plainly(self, task: "Task", request: Any, body: Callable[[], Any]) -> Any:
        try:
            value = _called(task, body)
        except Ignore:
            self._ignored(task)
            raise
        if isinstance(value, LastStep):
            return until_reachable(lambda: self._end_with(value.step, task, request))
        self._end(task, request, value)
        return value

    def _end_with(self, step: Callable[[], Any], task: "Task", request: Any) -> Any:
        """One transaction. Its answer may be lost: the step, called again, finds what it has written."""
        self.closed = False
        with database.atomic():
            value = step()
            self._end(task, request, value)
            faults.point("run.uncommitted")
        return value

    def _atomically(self, task: "Task", request: Any, body: Callable[[], Any]) -> Any:
        """Body, continuation and outcome in one transaction: all of it happens, or none.

        A connection lost before COMMIT was answered leaves open whether it took place. The release answers that: it
        finds the row only if the transaction, which deletes it, was rolled back.
        """
        try:
            with database.atomic():
                ignored = None
                try:
                    value = _called(task, body)
                    if isinstance(value, LastStep):
                        value = value.step()
                    self._end(task, request, value)
                except Ignore as error:
                    value, ignored = None, error
                    self._ignored(task)
                if not self.won:
                    raise Superseded
                faults.point("run.uncommitted")
        except (DatabaseError, InterfaceError) as error:
            self.closed = False
            if not is_passing(error):
                raise
            database.connection().close()
            # All it did is undone, unless it did more than write to the database, and may do that only once.
            sidestep = timedelta(seconds=random.uniform(0, LONGEST_SIDESTEP))  # noqa: S311
            self.release(f"The database went away under it: {error}", delay=sidestep, counted=task.at_most_once)
            raise Ignore from error
        except BaseException:
            self.closed = False
            raise
        if ignored is not None:
            raise ignored
        return value

    def _end(self, task: "Task", request: Any, value: Any) -> None:
        if self.sent_again is not None:
            # ``retry(throw=False)``: the body went on, but wants to run again.
            raise Retry("wished for by the body")
        sent = _dispatched(task, request, value) if request.callbacks or request.chain else Continuation()
        if request.chord and request.group:
            sent.parts.append(Part(self.task_id, request.group, request.chord))
        self.complete(_backend(task).outcome(request, states.SUCCESS, value), sent)

    def _retry(self, task: "Task", error: Retry) -> None:
        if self.sent_again is None:
            # Raised by the body itself, or by another task that it called as a function: by its own policy, then.
            when = {"eta" if isinstance(error.when, datetime) else "countdown": error.when}
            task.retry(exc=error.exc, throw=False, **when)
        if (envelope := self.sent_again) is not None:
            reason = f"{type(error.exc).__name__}: {error.exc}" if error.exc else str(error)
            again = partial(reschedule.retry, self.fence, envelope, error=storable(reason))
            self._close(states.RETRY, again, due=envelope.due)

    def _ignored(self, task: "Task") -> None:
        if self.replacement is not None:
            self._close(tracing.REPLACED, self._replace)
            return
        state, result = self.declared or (states.IGNORED, None)
        with continuation.apart() as sent:
            _backend(task).stop(task.request, state, result)
        self.complete(_backend(task).outcome(task.request, state, result), sent)

    def _replace(self) -> bool:
        sent, envelope = self.replacement or Continuation(), self.sent_again
        with database.atomic():
            won = reschedule.replace(self.fence, envelope) if envelope else reschedule.set_aside(self.fence)
            if won:
                write(sent, finish_chord=finish_chord)
        return won

    def _reject(self, task: "Task", rejected: Any) -> None:
        """The message has done its part once claimed; what a rejection asks for is the ledger's to do."""
        if rejected.requeue:
            self.release(f"Rejected by its body: {rejected.reason}", delay=REJECTED_PAUSE)
        else:
            _backend(task).mark_as_failure(self.task_id, rejected, request=task.request)

    def _close(self, outcome: str, change: Callable[[], bool], *, due: float | datetime | None = None) -> None:
        faults.point("run.rescheduling")
        self.won = tracing.settled(self.told, outcome, lambda: until_reachable(change))
        self.closed = True
        if not self.won:
            logger.warning("%s: another run decides over it; this one's wish is discarded", self.task_id)
        faults.point("run.rescheduled")
        if wake.is_soon(due):
            transaction.on_commit(wake.wake, using=database.using())


def _called(task: "Task", body: Callable[[], Any]) -> Any:
    """The body's value. A decorator's own ``autoretry_for`` comes on top of TransientError, not in its place."""
    try:
        with hands.Body():
            return body()
    except NotYet:
        raise
    except TransientError as error:
        return task.retry(exc=error)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        if terminate_handler_fired():
            # Not the body's doing: the process was told to end.
            raise
        # It would end a child, or confuse a thread, as a crash does.
        raise Exited(f"{type(error).__name__}: {error}") from error


def run_of(request: Any) -> Run | None:
    return getattr(request, "ledger_run", None)


def storable(text: str) -> str:
    """PostgreSQL cannot store a NUL, nor half of a surrogate pair."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _backend(task: "Task") -> Any:
    """Ours, of which Celery's stubs know nothing."""
    return task.backend


def _dispatched(task: "Task", request: Any, value: Any) -> Continuation:
    """Links, then the chain's next step, as Celery's tracer sends them."""
    with continuation.apart() as sent:
        _dispatch(task, request, value)
    return sent


def _dispatch(task: "Task", request: Any, value: Any) -> None:
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
