"""The result backend: outcomes go from the ledger into django-celery-results' table; what is in flight is read, too."""

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery import states
from celery.app.task import Context, get_actual_ignore_result  # type: ignore[attr-defined]
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.utils.log import get_task_logger
from django.db import transaction
from django_celery_results.backends.database import DatabaseBackend
from django_celery_results.models import TaskResult
from kombu.exceptions import EncodeError
from kombu.utils.json import JSONEncoder

from routing import sensitive, tracing
from routing.broker.sending import is_uncommitted
from routing.ledger import continuation, database, lookup, tally, wake
from routing.ledger.completion import write
from routing.ledger.continuation import Continuation, Counter, Part, StoredResult
from routing.ledger.enqueue import OUTCOMES, REPLACED
from routing.ledger.patience import until_reachable
from routing.ledger.renewal import REPLAY_HEADER
from routing.ledger.replay import REPLAY_OF
from routing.ledger.settle import Fence, Outcome
from routing.ledger.tables import Message
from routing.masking import masked
from routing.refusals import NotCommitted
from routing.worker.chords import finish_chord
from routing.worker.running import Run, run_of, storable

logger = get_task_logger(__name__)

NO_CHILDREN = '{"children": []}'
LONGEST_STATE = 50
UNRECORDABLE = "The database refused to record what became of this task; the worker's log has all of it."


_to_json = JSONEncoder().encode
"""As kombu's ``dumps``, which makes an encoder for each call."""


class ResultBackend(DatabaseBackend):
    # --- Settling ---------------------------------------------------------------------------------------------------

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """Nothing where the run has settled; else its task's own ``__call__`` went another way."""
        run = run_of(request)
        if run is None:
            super().mark_as_done(task_id, result, request, store_result, state)
        elif not run.closed:
            with continuation.apart() as sent:
                self.on_chord_part_return(request, state, result)
            run.complete(self.outcome(request, state, result), sent)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Any,
        traceback: Any = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """Settle, with chord part, failed chain and errbacks; fenced by the request's run, and once for each."""
        run = run_of(request)
        if run is None:
            if getattr(request, "is_eager", False) or not self._is_the_ledgers(task_id):
                options = {"store_result": store_result, "call_errbacks": call_errbacks, "state": state}
                super().mark_as_failure(task_id, exc, traceback, request, **options)
        elif not run.closed:
            with continuation.apart() as sent:
                self.stop(request, state, exc, traceback)
                if call_errbacks and request.errbacks:
                    # Those of the newer kind run here and now: before the transaction, which may be repeated.
                    self._call_task_errbacks(request, exc, traceback)
            self._settle(run, self.outcome(request, state, exc, traceback, dead_letter=run.dead_letter), sent)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        run = run_of(request)
        if run is None:
            super().mark_as_revoked(task_id, reason, request, store_result, state)
        elif not run.closed:
            with continuation.apart() as sent:
                self.stop(request, state, TaskRevokedError(reason))
            self._settle(run, self.outcome(request, state, TaskRevokedError(reason), reason=reason), sent)

    def mark_as_retry(self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **options: Any) -> None:
        """Nothing: the run has rescheduled the task, whether it wants a result or not."""

    def settle_unrun(
        self, message: Message, *, status: str, reason: str, error: str, about: Mapping[str, Any] | None = None
    ) -> bool:
        """Settle a task that will not run, with what hangs on it. False if its row has changed since it was read.

        ``reason`` is that of the dead letter, where it is FAILURE. ``about`` is added to the result's ``meta``.
        """
        request = request_of(message)
        run = request.ledger_run = Run(Fence(task_id=message.id, epoch=message.epoch, owner=message.owner))
        run.reason, run.about = reason, about or {}
        if tracing.active is not None:
            run.told = tracing.active.told(request)
        if status == states.REVOKED:
            self.mark_as_revoked(message.id, reason, request=request)
        else:
            run.dead_letter = reason
            self.mark_as_failure(message.id, NOT_RUN.get(reason, NotRun)(error), request=request)
        return run.won

    def revocation(self, message: Message, *, reason: str, about: Mapping[str, Any]) -> tuple[Fence, Outcome]:
        """What ``settle_unrun`` would settle a task with on which nothing hangs, to be settled together with others."""
        request = request_of(message)
        run = request.ledger_run = Run(Fence(task_id=message.id, epoch=message.epoch, owner=message.owner))
        run.reason, run.about = reason, about
        return run.fence, self.outcome(request, states.REVOKED, TaskRevokedError(reason), reason=reason)

    def stop(self, request: Any, state: str, result: Any, traceback: Any = None) -> None:
        """Collect what hangs on a task after which its chain does not go on: parts of chords, and the later links.

        Those come to the same state, so that nobody waits for them; a chord among them, to its body.
        """
        self.on_chord_part_return(request, state, result)
        if state == states.SUCCESS:
            # A body that declares its success and then asks to be ignored.
            state, result = states.IGNORED, None
        links = deque(request.chain or ())
        while links:
            link = links.popleft()
            options = link.get("options") or {}
            link_id = options.get("task_id")
            if link_id:
                self._store_aside(link_id, result, state, traceback, Context(task=link.get("task")))
            if link_id and "chord" in options:
                member = Context(id=link_id, group=options.get("group_id"), chord=options["chord"])
                self.on_chord_part_return(member, state, result)
            if link.get("subtask_type") == "chord" and (body := link.get("kwargs", {}).get("body")):
                links.append(body)

    def _settle(self, run: Run, outcome: Outcome, sent: Continuation) -> None:
        try:
            run.complete(outcome, sent)
        except Exception:
            # Not a database that is away: it refuses what there is to record, or what follows cannot be sent. Celery
            # would swallow this error, and ack. So the outcome in plain words, with the parts that others wait for.
            logger.exception("%s: its outcome %s cannot be recorded as it is", run.task_id, outcome.status)
            bare = replace(outcome, result="null", args="[]", kwargs="{}", traceback=None, error=UNRECORDABLE)
            run.complete(bare, Continuation(results=sent.results, parts=sent.parts))

    def _is_the_ledgers(self, task_id: str) -> bool:
        """Whether its message, or its outcome, is in the ledger's hands. What was replaced waits for just this."""
        message = lookup.in_flight(task_id)
        if message is not None:
            return message.state != REPLACED
        recorded = TaskResult.objects.using(database.using()).filter(task_id=task_id, status__in=OUTCOMES)
        return bool(recorded.exists())

    def _call_task_errbacks(self, request: Any, exc: Any, traceback: Any) -> None:
        """One errback that cannot be sent keeps neither the others nor the failure itself from being recorded."""
        errbacks = list(request.errbacks)
        try:
            for errback in errbacks:
                request.errbacks = [errback]
                try:
                    super()._call_task_errbacks(request, exc, traceback)
                except Exception:
                    logger.exception("%s failed, and this errback cannot be sent: %s", request.id, errback)
        finally:
            request.errbacks = errbacks

    def outcome(
        self,
        request: Any,
        status: str,
        result: Any,
        traceback: Any = None,
        *,
        dead_letter: str | None = None,
        reason: str | None = None,
    ) -> Outcome:
        """What is recorded of a request, as text that every database can store."""
        run = run_of(request)
        task = self.app.tasks.get(request.task)
        wants_none = task is not None and get_actual_ignore_result(task, request)
        is_error = isinstance(result, BaseException)
        args, kwargs = list(request.args or ()), dict(request.kwargs or {})
        if (secret := sensitive.of(request.task)) is not None:
            # It may have been enqueued before they were declared.
            args, kwargs = secret.sealed(args, kwargs)
        return Outcome(
            status=status,
            result=None if wants_none and not is_error else self._encoded(result, status),
            traceback=storable(str(traceback)) if traceback else None,
            meta=self._meta(request, reason or (run.reason if run else None), run.about if run else {}),
            # They came as JSON.
            args=_to_json(args),
            kwargs=_to_json(kwargs),
            # As wide as the columns: PostgreSQL would refuse the whole outcome over a long host name.
            worker=request.hostname[:100] if request.hostname else None,
            periodic_task_name=(getattr(request, "periodic_task_name", None) or "")[:255] or None,
            dead_letter=dead_letter,
            error=storable(f"{type(result).__name__}: {result}") if is_error else None,
        )

    # --- Writing states ---------------------------------------------------------------------------------------------

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_: Any
    ) -> Any:
        """Progress of what is in flight, or a result for an id that has no message.

        A run's own outcome is not stored here but settled; where its body declares one, it counts once the body ends.
        """
        if getattr(request, "is_eager", False) and not self.app.conf.task_store_eager_result:
            return result
        run = run_of(request)
        if run is not None and run.secrets:
            result = masked(result, run.secrets)
        is_own = run is not None and run.task_id == task_id
        if state not in OUTCOMES:
            _require_state(state)
            if run is not None and is_own and run.atomic:
                # Nobody would see it before the end, and everybody who wants its row would wait until then.
                return result
            owner = run.fence.owner if run is not None and is_own else None
            lookup.report(task_id, state=state, progress=self._encoded(result, state), owner=owner)
        elif run is not None and is_own:
            run.declared = (state, result)
        else:
            self._store_aside(task_id, result, state, traceback, request)
        return result

    def _store_aside(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> None:
        name = getattr(request, "task", None)
        stored = StoredResult(task_id, name, self._outcome_of_id(result, state, traceback))
        if (current := continuation.collecting()) is not None:
            current.results.append(stored)
        else:
            self._write(Continuation(results=[stored]))

    def _outcome_of_id(self, result: Any, state: str, traceback: Any) -> Outcome:
        return Outcome(
            status=state,
            result=self._encoded(result, state),
            traceback=storable(str(traceback)) if traceback else None,
            meta=NO_CHILDREN,
            args="[]",
            kwargs="{}",
            worker=None,
            periodic_task_name=None,
            error=storable(f"{type(result).__name__}: {result}") if isinstance(result, BaseException) else None,
        )

    def _encoded(self, result: Any, state: str) -> str:
        """JSON: nothing else is accepted, nor promised by the column of its content type."""
        try:
            return _to_json(self.encode_result(result, state))
        except (TypeError, ValueError) as error:
            raise EncodeError(str(error)) from error

    def _meta(self, request: Any, reason: str | None, about: Mapping[str, Any]) -> str:
        children, replay_of = self.current_task_children(request), getattr(request, REPLAY_HEADER, None)
        if not children and not reason and not replay_of:
            return NO_CHILDREN
        known = {"children": children or []} | ({"reason": reason} if reason else {})
        return json.dumps(known | ({REPLAY_OF: replay_of} if replay_of else {}) | dict(about))

    # --- Chords -----------------------------------------------------------------------------------------------------

    def apply_chord(self, header_result_args: Any, body: Any, **_: Any) -> None:
        """The counter is written together with the header, which Celery sends next."""
        header = self.app.GroupResult(*header_result_args)
        tuples = [result.as_tuple() for result in header]
        count = body.get("chord_size") or len(tuples)
        continuation.announce(Counter(header.id, count, json.dumps(tuples)))

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        if not request.chord or not request.group or not request.id:
            return
        part = Part(request.id, request.group, request.chord)
        if (current := continuation.collecting()) is not None:
            current.parts.append(part)
        else:
            self._write(Continuation(parts=[part]))

    def _write(self, sent: Continuation) -> None:
        def in_one() -> None:
            with database.atomic():
                write(sent, finish_chord=finish_chord)
                # The last part of a chord enqueues its body.
                transaction.on_commit(wake.wake, using=database.using())

        until_reachable(in_one)

    # --- Reading ----------------------------------------------------------------------------------------------------

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Any = None,
    ) -> Any:
        """Raises NotCommitted at once where the outcome could never come, and Celery's TimeoutError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (meta := self.get_task_meta(task_id))["status"] not in OUTCOMES:
            if is_uncommitted(task_id):
                raise NotCommitted(task_id)
            if on_interval:
                on_interval()
            left = interval if deadline is None else min(interval, deadline - time.monotonic())
            if left <= 0:
                raise CeleryTimeoutError("The operation timed out.")
            time.sleep(left)
        return meta

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        # First what is in flight: a task that settles between the two looks is found by the second.
        message = lookup.in_flight(task_id)
        if message is not None:
            return self._meta_in_flight(message)
        row = TaskResult.objects.using(database.using()).filter(task_id=task_id.replace("\0", "")).first()
        return self._meta_finished(row or TaskResult(task_id=task_id))

    def _meta_in_flight(self, message: Message) -> dict[str, Any]:
        result: Any = json.loads(message.progress) if message.progress else None
        if message.state == states.RETRY:
            result = Exception(message.error)
        state = states.PENDING if message.state == REPLACED else message.state
        found = {"task_id": message.id, "status": state, "result": result, "traceback": None, "date_done": None}
        return {**found, "children": [], "name": message.task, "queue": message.queue, "retries": message.attempt - 1}

    def _meta_finished(self, row: TaskResult) -> dict[str, Any]:
        found = row.as_dict()
        meta = self.decode_content(row, found.pop("meta", None)) or {}
        args, kwargs = (self.decode_content(row, found[name]) for name in ("task_args", "task_kwargs"))
        found |= {**meta, "result": self.decode_content(row, row.result)}
        found |= {"task_args": args, "task_kwargs": kwargs, "args": args, "kwargs": kwargs}
        decoded: dict[str, Any] = self.meta_from_decoded(found)
        return decoded

    def _forget(self, task_id: str) -> None:
        """The books go on counting what is forgotten."""
        with database.atomic():
            for row in TaskResult.objects.using(database.using()).filter(task_id=task_id):
                domain = (self.decode_content(row, row.meta) or {}).get("domain")
                if row.delete()[0] and domain:
                    tally.pruned({domain: 1})


class NotRun(Exception):
    """Why a task that was in flight will not be run."""


class Poison(NotRun):
    """It keeps killing the process that runs it."""


class Crashed(NotRun):
    """It may start only once, and the process that ran it died."""


NOT_RUN = {"poison": Poison, "crashed": Crashed}


def _require_state(state: str) -> None:
    if state == REPLACED or not 0 < len(state) <= LONGEST_STATE or "\0" in state:
        raise ValueError(
            f"update_state cannot show the state {state!r}: use a word of your own, such as PROGRESS, of at most "
            f"{LONGEST_STATE} characters."
        )


def request_of(message: Message) -> Any:
    """A request as a worker would have it, from the row of a task that is in no worker's hands."""
    args, kwargs, embed = json.loads(message.body)
    headers: Mapping[str, Any] = json.loads(message.headers)
    return Context(
        {
            **headers,
            **(embed or {}),
            "args": args,
            "kwargs": kwargs,
            "task": message.task,
            "retries": message.attempt - 1,
            "hostname": None,
            "delivery_info": {"routing_key": message.queue},
            "called_directly": False,
        }
    )
