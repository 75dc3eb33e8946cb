"""Celery's consumer, which declares the topology first and never destroys a message it cannot read."""

from typing import Any

from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer
from django.db import DatabaseError, InterfaceError
from kombu import Connection, Message

from routing.broker import topology
from routing.domains import registry

logger = get_logger(__name__)


class Consumer(CeleryConsumer):
    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc, valid-type]
        default_steps = [
            step for step in CeleryConsumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Workers have nothing to tell one another: results and (soon) revocations live in the database.
        kwargs |= {"without_gossip": True, "without_mingle": True}
        super().__init__(*args, **kwargs)

    def connect(self) -> Connection:
        """Connect, and declare the topology each time: a broker that was wiped gets all of it back."""
        connection = super().connect()
        topology.declare(connection, registry())
        return connection

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Dead-letter what cannot be decoded; Celery would ack it, and it would be gone."""
        logger.error(
            "Cannot decode a message of type %r, encoding %r: %s. It is kept in the domain's dead-letter queue.",
            message.content_type,
            message.content_encoding,
            exc,
        )
        message.reject(requeue=False)
        if task_id := (message.headers or {}).get("id"):
            self._record_unreadable(str(task_id), exc)

    def _record_unreadable(self, task_id: str, error: Exception) -> None:
        """The message is kept already; a database that is away must not end the worker over it."""
        try:
            self.app.backend.mark_as_failure(task_id, error)
        except (DatabaseError, InterfaceError):
            logger.exception("Cannot record that %s is unreadable; its row stays as it is", task_id)
