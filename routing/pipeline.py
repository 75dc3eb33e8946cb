"""The Celery application class: Celery's, with delays and enqueue times handled our way."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from celery import Celery
from celery.exceptions import QueueNotFound
from celery.result import AsyncResult
from django.conf import settings
from django.utils import timezone


class DelayTooLong(ValueError):
    """A delay that RabbitMQ would cut short by closing the worker's channel."""

    def __init__(self, delay: timedelta, limit: timedelta) -> None:
        super().__init__(
            f"A task can be delayed by {limit} at most, not by {delay}: until it is due, a worker holds its message, "
            "and RabbitMQ takes back what is held longer than its consumer_timeout. Put long delays into the beat "
            "schedule, or raise consumer_timeout on the broker and BROKER_CONSUMER_TIMEOUT here."
        )


class Pipeline(Celery):
    """Celery without its native delayed delivery, and with a result row from the moment of enqueueing."""

    amqp_cls = "routing.broker.sending:Sending"
    task_cls = "routing.worker.task:Task"

    def send_task(  # type: ignore[override]
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        countdown: float | None = None,
        eta: datetime | str | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """As ``Celery.send_task``. Raises DelayTooLong, NoDomain, and QueueNotFound for an undeclared queue.

        Celery would send a countdown or eta through 28 exchanges of its own, and would put a time-to-live on a message
        that expires, so that RabbitMQ dead-letters it and nobody learns its outcome. Both travel as headers instead:
        the worker holds the task until it is due and revokes what has expired.
        """
        self._require_queue(options.get("queue"))
        expires = options.pop("expires", None) if "expires" in options else self._expiry_of(name)
        options["headers"] = {**(options.get("headers") or {}), **_timing(countdown, eta, expires)}
        return super().send_task(name, args, kwargs, task_id=task_id, expires=None, **options)

    def _expiry_of(self, name: str) -> float | datetime | None:
        """What the task's own declaration says."""
        task = self.tasks.get(name)
        return task.expires if task else None

    def _require_queue(self, queue: object) -> None:
        """``create_missing_queues`` is off; without this a caller would learn nothing but the wrong name."""
        name = getattr(queue, "name", queue)
        if name is not None and name not in self.amqp.queues:
            raise QueueNotFound(
                f"No queue is called {name!r}. Use one of {', '.join(self.amqp.queues)}, or declare a lane for it in "
                "project/domains.py."
            )


def _timing(
    countdown: float | None, eta: datetime | str | None, expires: datetime | str | float | None
) -> dict[str, str | None]:
    """The message headers that the worker reads these from."""
    wanted = eta or countdown
    due_at = _moment(wanted) if wanted else None
    if due_at and (delay := due_at - timezone.now()) > settings.TASKYARD_LONGEST_DELAY:
        raise DelayTooLong(delay, settings.TASKYARD_LONGEST_DELAY)
    return {
        "eta": due_at.isoformat() if due_at else None,
        "expires": _moment(expires).isoformat() if expires is not None else None,
    }


def _moment(when: datetime | str | float) -> datetime:
    if isinstance(when, int | float):
        return timezone.now() + timedelta(seconds=when)
    moment = datetime.fromisoformat(when) if isinstance(when, str) else when
    if timezone.is_naive(moment):
        raise ValueError(
            f"{when!r} has no time zone. Use django.utils.timezone.now() + timedelta(…), or an aware datetime."
        )
    return moment
