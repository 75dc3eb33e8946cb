"""Publisher: one connection to RabbitMQ, and publications over it, all of a batch confirmed together."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from struct import pack
from typing import Any, TypeVar

import amqp
from amqp import spec
from amqp.serialization import dumps
from celery import current_app
from kombu import Connection

from routing import faults
from routing.broker.inspection import cure
from routing.broker.names import logical, physical
from routing.broker.outgoing import Outgoing, Prepared, sentence
from routing.broker.topology import message_count
from routing.ledger.outbox import Publication

T = TypeVar("T")

SOCKET_TIMEOUT = 5
"""Seconds that a broker may keep one read or write waiting.

Less than half the heartbeat: one that is blocked by an alarm, or has lost its majority, answers nothing and goes on
sending heartbeats.
"""
LONGEST_READ = 1.0
"""py-amqp begins to count anew with each heartbeat that comes in."""
WRITTEN_TOGETHER = 32 * 1024
"""Bytes: a system call for each message would cost more than all the rest of publishing it."""
METHOD_FRAME, HEADER_FRAME, BODY_FRAME = 1, 2, 3
FRAME_END, FRAME_OVERHEAD = b"\xce", 8
CLASS_BASIC = spec.Basic.Publish[0]
FRAME_RESERVE = 1024
"""Bytes of the frame that are not the message's own."""


class BrokerTrouble(Exception):
    """RabbitMQ cannot be used just now. The message tells the cure; it holds no password and no user name."""


class Publisher:
    """Not safe for several threads. Every method but ``drop`` raises BrokerTrouble; call ``drop`` then."""

    def __init__(self, *, confirm_timeout: timedelta) -> None:
        self.connection: Connection | None = None
        self._confirm_timeout = confirm_timeout.total_seconds()
        self._confirms: _Confirms | None = None
        self._blocked = ""

    def connect(self) -> Connection:
        """The connection, made if there is none."""
        if self.connection is None:
            self._blocked = ""
            self.connection = _connection()
            with self._troubles():
                # One try for each node of a cluster, with no pause between them.
                self.connection.ensure_connection(
                    max_retries=len(self.connection.alt or [""]) - 1,
                    interval_start=0,
                    interval_step=0,
                    reraise_as_library_errors=False,
                )
                self.connection.connection.on_blocked = self._on_blocked
                self._confirms = _Confirms(self.connection)
        return self.connection

    def drop(self) -> None:
        """Give the connection up, without a goodbye: a broker that does not answer would keep us waiting."""
        connection, self.connection = self.connection, None
        self._confirms = None
        if connection is not None:
            connection.collect()

    def close(self) -> None:
        """Say goodbye. Safe to call again."""
        if self.connection is not None and not self._blocked:
            try:
                with self._troubles():
                    self.connection.release()
            except BrokerTrouble:
                pass
        self.drop()

    def publish(self, publications: Sequence[Publication]) -> dict[int, str]:
        """Publish all, and wait until RabbitMQ has confirmed. Returns why the others were not taken, by id."""
        self.connect()
        with self._troubles():
            confirms = self._confirming()
            try:
                refused = self._publish_together(publications)
                if confirms.was_nacked:
                    # RabbitMQ goes on refusing what comes over this channel, even after the queue's limit was lifted.
                    self._discard(confirms)
            except amqp.ChannelError:
                # One message has closed the channel, and it is not told which.
                self._discard(confirms)
                refused = confirms.refused
                for publication in [one for one in publications if one.id not in confirms.answered]:
                    refused |= self._publish_alone(publication)
        return refused

    def ready(self, queue: str) -> int | None:
        """How many messages the queue holds for workers that have not asked for them yet; None if there is none."""
        return self.examine(lambda connection: message_count(connection, queue))

    def examine(self, look: Callable[[Connection], T]) -> T:
        """What ``look`` finds over this connection."""
        connection = self.connect()
        with self._troubles():
            return look(connection)

    def tick(self) -> None:
        """Send a heartbeat where it is time, and take in what has arrived: call it about once a second."""
        connection = self.connect()
        with self._troubles():
            if not connection.connected:
                raise ConnectionResetError
            connection.heartbeat_check()
            try:
                while True:
                    connection.drain_events(timeout=0)
            except TimeoutError:
                pass

    def _publish_together(self, publications: Sequence[Publication]) -> dict[int, str]:
        confirms, outgoing = self._confirming(), Outgoing(publications, largest_frame=self._largest_frame())
        confirms.start()
        # RabbitMQ works on the first while the next are made.
        confirms.publish(outgoing)
        faults.point("relay.published")
        confirms.wait(self._confirm_timeout, blocked=lambda: self._blocked)
        return outgoing.refused | confirms.refused

    def _publish_alone(self, publication: Publication) -> dict[int, str]:
        confirms = self._confirming()
        try:
            return self._publish_together([publication])
        except amqp.ChannelError as error:
            self._discard(confirms)
            return {publication.id: sentence(error)}

    def _discard(self, confirms: "_Confirms") -> None:
        # After an error py-amqp has opened the channel anew, but not in confirm mode.
        self._confirms = None
        confirms.close()

    def _confirming(self) -> "_Confirms":
        if self._confirms is None:
            self._confirms = _Confirms(self.connect())
        return self._confirms

    def _largest_frame(self) -> int:
        return int(self.connect().connection.frame_max) - FRAME_RESERVE

    def _on_blocked(self, _reason: str) -> None:
        self._blocked = (
            "RabbitMQ is short of memory or disk space and takes no messages. Free some, or raise its limits; "
            "rabbitmqctl status names the alarm."
        )

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        connection = self.connection
        assert connection is not None  # noqa: S101  (connect() was called)
        try:
            yield
        # py-amqp raises the latter two on a connection that it has closed itself.
        except (amqp.AMQPError, OSError, AttributeError, KeyError) as error:
            raise BrokerTrouble(self._blocked or _trouble(error, connection)) from error


class _Confirms:
    """A channel in confirm mode, and what RabbitMQ has answered for the publications since ``start``."""

    def __init__(self, connection: Connection) -> None:
        channel: Any = connection.channel()
        self._channel = channel
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._tag = 0
        self._frames = _Frames(self._channel.connection, self._channel.channel_id)
        self.start()

    def start(self) -> None:
        self._open: dict[int, Publication] = {}
        self.answered: set[int] = set()
        self.refused: dict[int, str] = {}
        self.was_nacked = False

    def publish(self, outgoing: Outgoing) -> None:
        for publication, message in outgoing:
            # First the books: answers come in while the rest is written.
            self._tag += 1
            self._open[self._tag] = publication
            self._frames.add(publication.queue, message)
            if len(self._frames) >= WRITTEN_TOGETHER:
                self._frames.write()
                self._take_answers()
        self._frames.write()

    def _take_answers(self) -> None:
        """What has arrived so far: neither side may come to wait for the other to read."""
        with suppress(TimeoutError):
            while True:
                self._channel.connection.drain_events(timeout=0)

    def wait(self, seconds: float, *, blocked: Callable[[], str]) -> None:
        """Until all are answered. Raises TimeoutError, at once where RabbitMQ says that it takes none."""
        deadline = time.monotonic() + seconds
        while self._open:
            left = deadline - time.monotonic()
            if left <= 0 or blocked():
                raise TimeoutError
            with suppress(TimeoutError):
                self._channel.connection.drain_events(timeout=min(left, LONGEST_READ))

    def close(self) -> None:
        self._channel.close()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._close(tag, multiple=multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self.was_nacked = True
        for publication in self._close(tag, multiple=multiple):
            self.refused[publication.id] = (
                f"RabbitMQ refused it: the queue {publication.queue} is full, or its replicas cannot be reached"
            )

    def _on_return(self, _code: Any, _exchange: str, queue: str, message: amqp.Message) -> None:
        # The ack of a returned message follows.
        returned = (message.properties.get("application_headers") or {}).get("id")
        for publication in self._open.values():
            if publication.message_id == returned:
                self.refused[publication.id] = (
                    f"RabbitMQ has no queue {logical(queue)}. Declare it: manage.py topology apply"
                )

    def _close(self, tag: int, *, multiple: bool) -> list[Publication]:
        tags = [one for one in self._open if one <= tag] if multiple else [tag]
        closed = [self._open.pop(one) for one in tags if one in self._open]
        self.answered |= {publication.id for publication in closed}
        return closed


class _Frames:
    """Frames of ``basic.publish``, to be written many at once.

    py-amqp's own ``basic_publish`` looks for answers and writes to the socket for each message.
    """

    def __init__(self, connection: Any, channel: int) -> None:
        self._connection = connection
        self._channel = channel
        self._waiting = bytearray()
        self._methods: dict[str, bytes] = {}

    def __len__(self) -> int:
        """Bytes that wait to be written."""
        return len(self._waiting)

    def add(self, queue: str, message: Prepared) -> None:
        properties, body = message.properties, message.body
        self._waiting += self._methods.get(queue) or self._method(queue)
        self._waiting += self._frame(HEADER_FRAME, pack(">HHQ", CLASS_BASIC, 0, len(body)) + properties)
        most = self._connection.frame_max - FRAME_OVERHEAD
        for start in range(0, len(body), most):
            self._waiting += self._frame(BODY_FRAME, body[start : start + most])

    def write(self) -> None:
        if not self._waiting:
            return
        written, self._waiting = bytes(self._waiting), bytearray()
        self._connection.transport.write(written)
        # So that no heartbeat is sent beside it.
        self._connection.bytes_sent += 1

    def _method(self, queue: str) -> bytes:
        # Of the exchange with no name, mandatory, not immediate.
        arguments = dumps("Bssbb", (0, "", physical(queue), True, False))
        made = self._methods[queue] = self._frame(METHOD_FRAME, pack(">HH", *spec.Basic.Publish) + arguments)
        return made

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return b"".join((pack(">BHI", kind, self._channel, len(payload)), payload, FRAME_END))


def _connection() -> Connection:
    return current_app.connection_for_write(
        connect_timeout=5,
        heartbeat=current_app.conf.broker_heartbeat,
        # Celery's option would wait for each message's confirmation before the next is sent.
        transport_options={
            "confirm_publish": False,
            "connect_timeout": 5,
            "read_timeout": SOCKET_TIMEOUT,
            "write_timeout": SOCKET_TIMEOUT,
        },
    )


def _trouble(error: BaseException, connection: Connection) -> str:
    if isinstance(error, amqp.ChannelError | amqp.ConnectionError) and not isinstance(
        error, amqp.AccessRefused | amqp.NotAllowed | amqp.ConnectionForced | amqp.RecoverableConnectionError
    ):
        return f"RabbitMQ at {connection.hostname}:{connection.port} says: {sentence(error)}"
    # This is what a socket's own time-out looks like.
    return str(cure(TimeoutError() if isinstance(error, BlockingIOError) else error, connection))
