"""The base of every task: limits and retries from its domain, a claim before its body."""

import random
from typing import Any

import celery
from celery.app.task import get_actual_ignore_result  # type: ignore[attr-defined]
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_task_logger
from django.conf import settings
from django.db import InterfaceError, OperationalError

from routing.domains import Domain, registry
from routing.errors import TransientError
from routing.ledger.results import Claim

logger = get_task_logger(__name__)

CLAIM_WITHIN = 60.0
"""Seconds that a claim waits for a database that is away, if the task's own limits leave it so many."""


class Poison(Reject):
    """A task that keeps killing the worker that runs it.

    As with any ``Reject``, the worker records the failure and then lets the broker keep the message among the domain's
    dead letters. A crash between the two redelivers the message; the claim then finds the outcome and acks it unrun.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, requeue=False)
        # The result tells an error's arguments, and the second one is no news.
        self.args = (reason,)


class Task(celery.Task):  # type: ignore[type-arg]
    """Celery's task, which raises TransientError to be retried by its domain's policy; any other error is final.

    Time limits and retry figures given to the decorator go before the domain's.
    """

    autoretry_for = (TransientError,)

    @classmethod
    def on_bound(cls, app: celery.Celery) -> None:
        super().on_bound(app)
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

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        # Who wants no result has no row either: nothing would ever record an outcome in it.
        if self.request.is_eager or get_actual_ignore_result(self, self.request):
            return
        claim = self._claim()
        if claim is None:
            logger.info("%s[%s] was delivered again after its outcome was recorded; not run", self.name, task_id)
            raise Ignore
        domain = self.domain()
        if domain and claim.runs > domain.run_limit:
            raise self._poison(task_id, claim.runs - 1)

    def retry(  # type: ignore[override]
        self, args: Any = None, kwargs: Any = None, exc: Any = None, **options: Any
    ) -> Any:
        """As ``celery.Task.retry``; without countdown or eta, the domain's policy says when."""
        domain = self.domain()
        if domain and options.get("countdown") is None and options.get("eta") is None:
            delay = exc.retry_after if isinstance(exc, TransientError) else None
            if delay is None:
                delay = domain.retry.delay(self.request.retries, random.random())  # noqa: S311
            options["countdown"] = min(delay, settings.TASKYARD_LONGEST_DELAY).total_seconds()
        return super().retry(args, kwargs, exc=exc, **options)

    def _claim(self) -> Claim | None:
        """Where the database stays away, give the message back: a task must not fail before its body began."""
        hard, soft = self.request.timelimit or (None, None)
        limits = filter(None, (hard, soft, self.time_limit, self.soft_time_limit))
        patience = min([CLAIM_WITHIN, *(limit / 2 for limit in limits)])
        try:
            claim: Claim | None = self.backend.claim(self.request, seconds=patience)  # type: ignore[attr-defined]
        except (OperationalError, InterfaceError) as error:
            raise Reject(f"the database cannot be reached: {error}", requeue=True) from error
        return claim

    def _poison(self, task_id: str, runs: int) -> Poison:
        poison = Poison(
            f"{self.name} was started {runs} times and each time its worker died before it finished, so it is set "
            "aside. Look for what kills it (memory, a native library, a signal) in the pool's log."
        )
        logger.error("%s[%s]: %s", self.name, task_id, poison)
        return poison
