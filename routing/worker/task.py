"""The base of every task: limits and retries from its domain, a claim before its body, its outcome after it."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from inspect import getattr_static
from typing import Any

import celery
from celery.exceptions import Ignore
from celery.result import AsyncResult

from routing import unique_keys
from routing.broker import repeated
from routing.domains import Domain, registry
from routing.errors import NotYet, TransientError
from routing.last_step import LastStep
from routing.ledger import continuation, database
from routing.sensitive import BUILT_IN, Declared, declare, read
from routing.worker import opening
from routing.worker.admission import admit
from routing.worker.running import run_of


def _at_once(value: Any) -> Any:
    """Without a ledger, a last step has only itself to be one with."""
    if not isinstance(value, LastStep):
        return value
    with database.atomic():
        return value.step()


class Task(celery.Task):  # type: ignore[type-arg]
    """Celery's task, which raises TransientError to be retried by its domain's policy; any other error is final.

    Time limits and retry figures given to the decorator go before the domain's.
    """

    Request = "routing.worker.request:Request"
    autoretry_for = (TransientError,)
    atomic = False
    """Its database effects, the tasks it enqueues, its continuation and its outcome are one transaction."""
    at_most_once = False
    """Set by ``acks_late=False``: it never starts twice; a crash after its start is a FAILURE with a dead letter."""
    unique_by: Sequence[str] | Callable[..., str] | None = None
    """Names of arguments, or a function of them, that make its unique key: one in flight for each."""
    unique_for: float | timedelta | None = None
    sensitive: Sequence[str] = ()
    """Names of its secret arguments: sealed wherever it is kept or travels, and opened just before its body."""
    secret: Declared | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        """Raises WrongDeclaration: before Celery knows the task, or it would run with its secrets readable."""
        super().__init_subclass__(**options)
        if cls.sensitive and cls.run is not celery.Task.run:
            bound = not isinstance(getattr_static(cls, "run"), staticmethod)
            cls.secret = read(cls.name or cls.__qualname__, cls.run, cls.sensitive, bound=bound)

    @classmethod
    def on_bound(cls, app: celery.Celery) -> None:
        super().on_bound(app)
        declare(cls.name, cls.secret)
        if not cls.acks_late:
            # The broker still learns last: the ledger is what keeps it from starting twice. A message acked before its
            # claim would be lost with its worker.
            cls.at_most_once, cls.acks_late = True, True
        domain = cls.domain()
        if domain is None:
            return
        defaults = {
            "time_limit": domain.time_limit.total_seconds(),
            "soft_time_limit": domain.soft_time_limit.total_seconds(),
            "max_retries": domain.retry.max_retries,
            "default_retry_delay": domain.retry.first_delay.total_seconds(),
        }
        for name, value in defaults.items():
            if name not in vars(cls):
                setattr(cls, name, value)

    @classmethod
    def domain(cls) -> Domain | None:
        return registry().of_task(cls.name) if cls.name else None

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """As ``celery.Task.apply_async``; routing/options.py tells what is honoured."""
        if self.unique_by is not None and options.get("task_id") is None and options.get("unique_key") is None:
            options["unique_key"] = unique_keys.made(self.name, self.run, self.unique_by, args or (), kwargs or {})
            options.setdefault("unique_for", self.unique_for)
        if not options:
            return repeated.send_plain(self.app, super().apply_async, args, kwargs, task=self)
        return super().apply_async(args, kwargs, **options)

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """A plain ``delay``: that is written in the caller's transaction as it is, and has an id at once."""
        return self.delay(*args, **kwargs)

    def apply_async_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(*args, **kwargs)

    def enqueue_many(
        self, calls: Iterable[Sequence[Any] | Mapping[str, Any]], **options: Any
    ) -> list[AsyncResult[Any]]:
        """Enqueue it once for each of ``calls``, in one transaction; each is positional or named arguments."""
        found: list[AsyncResult[Any]] = self.app.enqueue_many(self.name, calls, task_type=self, **options)  # type: ignore[attr-defined]
        return found

    @property
    def is_alike(self) -> bool:
        """Whether what a call asks for, but its arguments and id, is the same whatever its arguments are."""
        own = type(self)
        return (
            self.unique_by is None
            and getattr(self, "_dump_pydantic_arguments", None) is None
            and not self.name.startswith(BUILT_IN)
            and own.apply_async is Task.apply_async
            and own.shadow_name is celery.Task.shadow_name
        )

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        request = self.request
        if not request.is_eager:
            admit(self, request)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        if request.called_directly or request.is_eager:
            call = super().__call__
            if self.secret is not None:
                return _at_once(opening.call(self.secret, call, args, kwargs))
            return _at_once(call(*args, **kwargs))
        # A ``before_start`` that does not call this one has claimed nothing.
        run = run_of(request) or admit(self, request)
        if run.entered:
            return super().__call__(*args, **kwargs)
        if self.secret is not None:
            secret = self.secret
            return run.execute(self, request, lambda: opening.call(secret, self.run, args, kwargs, run=run))
        return run.execute(self, request, lambda: self.run(*args, **kwargs))

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """As ``celery.Task.apply``, which is what eager mode calls: secret arguments are sealed on their way, too."""
        if self.secret is not None:
            args, kwargs = self.secret.sealed(args, kwargs)
        return super().apply(args, kwargs, **options)

    def retry(  # type: ignore[override]
        self, args: Any = None, kwargs: Any = None, exc: Any = None, **options: Any
    ) -> Any:
        """As ``celery.Task.retry``; without countdown or eta, the domain's policy says when.

        NotYet goes through as it is, also where ``autoretry_for`` has caught it: that is no attempt.
        """
        if isinstance(exc, NotYet):
            raise exc
        if self.secret is not None:
            # An error that there is no attempt left quotes them.
            own = self.request
            given = own.args if args is None else args, own.kwargs if kwargs is None else kwargs
            args, kwargs = self.secret.sealed(*given)
        domain = self.domain()
        if domain and options.get("countdown") is None and options.get("eta") is None:
            delay = exc.retry_after if isinstance(exc, TransientError) else None
            if delay is None:
                delay = domain.retry.delay(self.request.retries, random.random())  # noqa: S311
            options["countdown"] = delay.total_seconds()
        return super().retry(args, kwargs, exc=exc, **options)

    def on_replace(self, sig: Any) -> Any:
        run = run_of(self.request)
        if run is None:
            return super().on_replace(sig)
        with continuation.apart() as run.replacement:
            sig.delay()
        raise Ignore("Replaced by new task")
