"""The one place that every message of the application passes on its way to the broker."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from amqp.exceptions import MessageNacked
from celery.app.amqp import AMQP
from django.utils import timezone
from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    from routing.worker.backend import ResultBackend


class Sending(AMQP):
    """Writes a task's PENDING row just before its message is published, and takes it back if it was not."""

    @cached_property
    def send_task_message(self) -> Callable[..., Any]:
        """Raises Django's error where the row cannot be written, kombu's OperationalError where the broker refuses."""
        publish = super().send_task_message

        def send(producer: Any, name: str, message: Any, **options: Any) -> Any:
            headers = {**message.headers, **(options.get("headers") or {})}
            queue = str(getattr(options.get("queue"), "name", options.get("queue")) or options.get("routing_key"))
            rows, began = cast("ResultBackend", self.app.backend), timezone.now()
            rows.record_enqueued(name=name, headers=headers, body=message.body, queue=queue)
            try:
                return publish(producer, name, message, **options)
            except Exception as error:
                # No row may promise that it will run. A process that dies right here leaves a PENDING row whose message
                # may or may not exist.
                if not headers.get("retries"):
                    rows.withdraw(headers["id"], since=began)
                if isinstance(error, MessageNacked) or isinstance(error.__cause__, MessageNacked):
                    # Bare, or as an error without a word, by whether Celery tried again.
                    raise OperationalError(
                        f"RabbitMQ refused the message of {name}: its queue is full, or a node is missing. "
                        "Try again when there is room; the broker's log says more."
                    ) from error
                raise

        return send
