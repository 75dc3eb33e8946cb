"""Acks travel together: RabbitMQ writes each ack of a quorum queue to its log, and several at once as one.

A message is acked after its outcome is recorded, so an ack that is late, or lost with its connection, means a copy that
comes again and is refused by the ledger.
"""

import logging
from itertools import takewhile
from typing import Any

import amqp
import kombu
from kombu.transport import pyamqp

logger = logging.getLogger(__name__)

LATEST = 0.02
"""Seconds that an ack waits for others."""
SHARE = 2
"""Of so many messages that a consumer may hold, one waits to be acked at most: the others keep it at work."""


class Channel(pyamqp.Channel):
    """Acks at once outside an event loop, where its consumer may hold few messages, and where some need no ack."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: dict[int, None] = {}
        """Delivered, and neither acked nor rejected; in the order of their delivery."""
        self._waiting: set[int] = set()
        """Of those: to be acked."""
        self._at_once = 1
        """So many acks do not wait for more."""
        self._is_counted = True
        self._timer: Any = None
        super().__init__(*args, **kwargs)

    def message_to_python(self, raw_message: Any) -> Any:
        if self._is_counted:
            self._open[raw_message.delivery_tag] = None
        return super().message_to_python(raw_message)

    def basic_consume(  # type: ignore[override]
        self, queue: str = "", consumer_tag: str = "", no_local: bool = False, no_ack: bool = False, **options: Any
    ) -> Any:
        if no_ack:
            self._is_counted = False
        return super().basic_consume(queue, consumer_tag, no_local, no_ack, **options)

    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool, **options: Any) -> Any:  # type: ignore[override]
        self._at_once = max(prefetch_count // SHARE, 1)
        return super().basic_qos(prefetch_size, prefetch_count, a_global, **options)

    def basic_ack(self, delivery_tag: int, multiple: bool = False, **options: Any) -> Any:  # type: ignore[override]
        if multiple or self._loop is None or delivery_tag not in self._open or not self._is_counted:
            self._open.pop(delivery_tag, None)
            return super().basic_ack(delivery_tag, multiple, **options)
        self._waiting.add(delivery_tag)
        if len(self._waiting) >= self._at_once:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(LATEST, self._flush_late)
        return None

    def basic_reject(self, delivery_tag: int, requeue: bool, **options: Any) -> Any:  # type: ignore[override]
        self._open.pop(delivery_tag, None)
        return super().basic_reject(delivery_tag, requeue, **options)

    def flush(self) -> None:
        """Ack all that waits: up to the first that is still at work by one ack, what was overtaken one by one."""
        self._stop_timer()
        waiting, self._waiting = self._waiting, set()
        last = max(takewhile(waiting.__contains__, self._open), default=0)
        for tag in waiting:
            del self._open[tag]
        if last:
            super().basic_ack(last, multiple=True)
        for tag in sorted(waiting):
            if tag > last:
                super().basic_ack(tag)

    def close(self, *args: Any, **kwargs: Any) -> Any:
        if self.is_open and self._waiting:
            self._flush_late()
        return super().close(*args, **kwargs)

    def collect(self) -> None:
        self._stop_timer()
        super().collect()

    @property
    def _loop(self) -> Any:
        return getattr(self.connection, "loop", None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush_late(self) -> None:
        """Where nobody could do anything about an error."""
        try:
            self.flush()
        except (*amqp.Connection.connection_errors, *amqp.Connection.channel_errors) as error:
            logger.info("Couldn't ack (%r). RabbitMQ will deliver it again; the ledger knows what became of it.", error)


class _Connection(pyamqp.Connection):
    Channel = Channel
    loop: Any = None
    """The event loop that reads it."""

    def connect(self, callback: Any = None) -> Any:
        try:
            return super().connect(callback)
        except amqp.ConnectionError:
            # py-amqp leaves the socket open where the server offers no way to log in that we know.
            self.collect()
            raise


class Transport(pyamqp.Transport):
    Connection = _Connection

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        connection.loop = loop
        super().register_with_event_loop(connection, loop)


class Connection(kombu.Connection):
    """Keeps to this transport when it goes on to another broker's URL."""

    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        return Transport if found is pyamqp.Transport else found
