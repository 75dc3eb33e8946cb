"""The Celery application class: Celery's, with delays and enqueue times handled our way."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from celery import Celery, current_app, signals
from celery.result import AsyncResult
from celery.utils import uuid
from celery.utils.time import maybe_iso8601
from django.conf import settings
from django.utils import timezone


class DelayTooLong(ValueError):
    """A delay that RabbitMQ would cut short by closing the worker's channel."""

    def __init__(self, delay: timedelta, limit: timedelta) -> None:
        super().__init__(
            f"A task can be delayed by {limit} at most, not by {delay}: until it is due, a worker holds its message, and "
            "RabbitMQ takes back what is held longer than its consumer_timeout. Put long delays into the beat schedule, "
            "or raise consumer_timeout on the broker and BROKER_CONSUMER_TIMEOUT here."
        )


class Pipeline(Celery):
    """Celery without its native delayed delivery, and with a result row from the moment of enqueueing."""

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
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
        options["headers"] = {**(options.get("headers") or {}), **_timing(countdown, eta, options.pop("expires", None))}
        task_id = task_id or uuid()
        try:
            return super().send_task(name, args, kwargs, task_id=task_id, **options)
        except Exception:
            # Nothing was published, or the broker refused it: no row may promise that it will run.
            # A process that dies right here leaves a PENDING row whose message may or may not exist.
            if not options.get("retries"):
                self.backend.withdraw(task_id)
            raise


def record_enqueued(
    *, headers: Mapping[str, Any], body: Any, routing_key: str, sender: str, **_: object
) -> None:
    """Write the PENDING row just before the message is published."""
    current_app.backend.record_enqueued(name=sender, headers=headers, body=body, queue=routing_key)


signals.before_task_publish.connect(record_enqueued, dispatch_uid="routing.record_enqueued")


def _timing(
    countdown: float | None, eta: datetime | str | None, expires: datetime | str | float | None
) -> dict[str, str | None]:
    """The message headers that the worker reads these from."""
    due_at = _moment(eta or countdown) if eta or countdown else None
    if due_at and (delay := due_at - timezone.now()) > settings.TASKYARD_LONGEST_DELAY:
        raise DelayTooLong(delay, settings.TASKYARD_LONGEST_DELAY)
    return {
        "eta": due_at.isoformat() if due_at else None,
        "expires": _moment(expires).isoformat() if expires is not None else None,
    }


def _moment(when: datetime | str | float) -> datetime:
    if isinstance(when, int | float):
        return timezone.now() + timedelta(seconds=when)
    moment = maybe_iso8601(when)
    if timezone.is_naive(moment):
        raise ValueError(f"{when!r} has no time zone. Use django.utils.timezone.now() + timedelta(…), or an aware datetime.")
    return moment
