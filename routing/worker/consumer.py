"""Celery's consumer, which declares the topology first and never destroys a message it cannot read."""

import logging
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.state import active_requests, maybe_shutdown, reserved_requests
from kombu import Connection, Message

from routing import correlation
from routing.broker import topology
from routing.broker.names import logical, physical
from routing.broker.sending import EPOCH_HEADER
from routing.domains import registry
from routing.ledger import typed, wake
from routing.ledger.enqueue import Envelope, enqueue
from routing.ledger.patience import until_reachable
from routing.ledger.tables import DeadLetter
from routing.worker import door, paused, resizing, revocations  # noqa: F401  (they register answers to broadcasts)
from routing.worker.admission import envelope_of
from routing.worker.holding import is_held
from routing.worker.request import PARKED, SETTLEMENTS, Job
from routing.worker.stopping import STOP
from routing.worker.unreadable import give_back

logger = get_logger(__name__)
Reason = DeadLetter.Reason

TICK = 1.0
LONGEST_PAUSE = 10.0
QUIET_AFTER = 0.5
"""Seconds after which nothing more comes of a queue that is paused: what may be held is held."""
ACCESS_REFUSED, RESOURCE_LOCKED = 403, 405


class Consumer(CeleryConsumer):
    task_consumer: Any
    channel_errors: Any
    connection_errors: Any
    consumed_at: float | None = None
    """When its event loop last found it consuming, by the monotonic clock."""
    is_resized = False
    """Whether its pool has another size than it had when it told RabbitMQ how many messages to give."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc, valid-type]
        default_steps = [
            step for step in CeleryConsumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Workers have nothing to tell one another: results, pauses and revocations live in the database.
        kwargs |= {"without_gossip": True, "without_mingle": True}
        if not kwargs["app"].conf.worker_enable_remote_control:
            # Events have an exchange of Celery's own, which such a user may not have either; and nobody could ask.
            kwargs["without_heartbeat"] = True
        super().__init__(*args, **kwargs)
        self._refusals = 0
        self._leaving: dict[str, float] = {}
        """Queues that are paused, and since when we know."""
        self._left: set[str] = set()
        """Queues that it served until they were paused."""
        # What it advises at every lost connection, to end what runs, would make a second run of it.
        warnings.filterwarnings("ignore", "\nIn Celery 5.1 we", CPendingDeprecationWarning)
        logging.getLogger("celery.worker.request").addFilter(_without_alarm)
        SETTLEMENTS.call_soon = self.call_soon

    def connect(self) -> Connection:
        """Connect, and declare the topology each time: a broker that was wiped gets all of it back."""
        self._await_apply()
        connection = super().connect()
        try:
            topology.declare(connection, registry())
        except topology.Undeclarable as refusal:
            # It may be no queue of ours.
            logger.warning("%s", refusal)
        self.app.amqp.queues.deselect([physical(queue) for queue in self._to_leave()])
        for queue in self._to_take_up():
            self.app.amqp.queues.select_add(self.app.amqp.queues[queue])
        return connection

    def _await_apply(self) -> None:
        """A queue that is being made anew is not consumed from. It is everybody's again half a minute later at most."""
        if is_held.is_set():
            logger.info("manage.py topology apply changes a queue of this worker, which waits for it")
        while is_held.is_set():
            maybe_shutdown()
            time.sleep(TICK / 4)

    def add_task_queue(self, queue: Any, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        super().add_task_queue(physical(getattr(queue, "name", queue)), *args, **kwargs)

    def cancel_task_queue(self, queue: Any) -> None:
        super().cancel_task_queue(physical(getattr(queue, "name", queue)))

    def register_with_event_loop(self, hub: Any) -> None:
        super().register_with_event_loop(hub)
        # Celery cancels it together with the connection it belongs to.
        hub.timer.call_repeatedly(TICK, self.tick)

    def tick(self) -> None:
        """Note that it consumes; connect again where RabbitMQ has taken a queue from it and nobody noticed.

        Celery swallows such a notice that arrives just as it starts to consume.
        """
        if is_held.is_set():
            raise ConnectionResetError("A queue of this worker is changed by manage.py topology apply")
        if self.is_resized:
            # RabbitMQ goes by what a consumer of a quorum queue said when it began.
            self.is_resized = False
            raise ConnectionResetError(
                "The pool has another size now, and RabbitMQ gives as many messages once asked anew"
            )
        self.follow_pauses()
        wanted = [queue for queue in self.task_consumer.queues if self.task_consumer.consuming_from(queue)]
        if len(self.task_consumer.channel.callbacks) < len(wanted):
            raise ConnectionResetError(f"RabbitMQ no longer gives messages of {', '.join(q.name for q in wanted)}")
        if wanted or self._left:
            self.consumed_at = time.monotonic()
            self._refusals = 0

    def follow_pauses(self) -> None:
        """Take messages of no queue that is paused, and hand back those that were taken and not begun.

        In the main thread, any time. Safe to call again.
        """
        if self.task_consumer is None:
            return
        for queue in self._to_leave(after=QUIET_AFTER):
            self.cancel_task_queue(queue)
        for queue in self._to_take_up():
            self.add_task_queue(queue)
        held = [request for request in reserved_requests if request.queue in self._left]
        for request in {*held, *(one for one in PARKED if one.queue not in self._leaving)} - set(active_requests):
            request.hand_back()

    def _to_leave(self, *, after: float = 0.0) -> list[str]:
        """Those that are paused, and have been for this many seconds.

        Not at once: messages on their way at the very moment at which a queue is left may not arrive, and RabbitMQ
        takes them for held until its consumer time-out. As nothing of the queue is acked meanwhile, soon no more are.
        """
        now = time.monotonic()
        stopping = [logical(name) for name in self.app.amqp.queues.consume_from if paused.is_paused(name)]
        self._leaving = {queue: self._leaving.get(queue, now) for queue in stopping}
        leaving = [queue for queue, since in self._leaving.items() if now - since >= after]
        for queue in leaving:
            del self._leaving[queue]
        self._left.update(leaving)
        return leaving

    def _to_take_up(self) -> list[str]:
        back = [queue for queue in sorted(self._left) if not paused.is_paused(queue)]
        self._left.difference_update(back)
        return back

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, self.channel_errors):
            if getattr(exc, "code", None) == ACCESS_REFUSED and "pidbox" in str(exc):
                logger.error(
                    "RabbitMQ's user may not have the queues of Celery's remote control. Give it the right, as in "
                    "docs/topology.md, or start this worker with TASKYARD_REMOTE_CONTROL=0."
                )
            if getattr(exc, "code", None) == RESOURCE_LOCKED:
                logger.error(
                    "Another worker is called %s, or RabbitMQ has not noticed yet that its connection is gone. "
                    "This one waits. To run both, name this one otherwise: --hostname=NAME@%%h",
                    self.hostname,
                )
            self._pause()

    def _pause(self) -> None:
        """What RabbitMQ refuses on a connection that works, it mostly refuses again at once."""
        until = time.monotonic() + min(0.5 * 2**self._refusals, LONGEST_PAUSE)
        self._refusals += 1
        while time.monotonic() < until:
            maybe_shutdown()
            time.sleep(0.1)

    def cancel_active_requests(self) -> None:
        """Celery ends what runs, and is about to wait for the children."""
        STOP.interrupt()
        super().cancel_active_requests()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], Any]:
        """Whoever is not from the ledger has to pass the door first."""
        receive = super().create_task_handler(*args, **kwargs)

        def at_the_door(message: Message) -> None:
            if EPOCH_HEADER in (message.headers or {}) or self._lets_in(message):
                receive(message)

        return at_the_door

    def _lets_in(self, message: Message) -> bool:
        """Whether a foreign message goes on to its task, now."""
        try:
            visitor = door.examine(message)
        except door.Unfit as error:
            logger.error("A message of another program is no task: %s. It is kept as a dead letter.", error)  # noqa: TRY400
            self._keep(message, error)
            return False
        except Exception as error:  # noqa: BLE001  (whatever decoding it raises)
            self.on_decode_error(message, error)
            return False
        if visitor is None or visitor.due is None or visitor.request.task not in self.app.tasks:
            return True
        # It waits in the ledger, as all that has a time does, and not in this worker's memory.
        envelope = envelope_of(visitor.request)._replace(due=visitor.due)
        keep = Job(envelope.id, partial(_written, envelope), then=partial(_kept, message))
        SETTLEMENTS.put(keep)
        return False

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Dead-letter what cannot be decoded; Celery would ack it, and it would be gone."""
        logger.error(
            "Cannot decode a message of type %r, encoding %r: %s. It is kept in the domain's dead-letter queue.",
            message.content_type,
            message.content_encoding,
            exc,
            exc_info=exc,
        )
        self._keep(message, exc)

    def _keep(self, message: Message, exc: Exception) -> None:
        headers: dict[str, Any] = message.headers or {}
        task_id, epoch = typed.task_id(headers.get("id")), headers.get(EPOCH_HEADER)
        if task_id is None:
            self._reject(message)
            return

        def settle() -> None:
            if epoch is None:
                self.app.backend.mark_as_failure(task_id, exc)
            else:
                give_back(task_id, epoch, f"It arrived unreadable: {exc}", reason=Reason.FAILED)

        # Last: were the worker to die in between, nobody would publish the task again.
        SETTLEMENTS.put(Job(task_id, settle, then=lambda _: self._reject(message)))

    def _reject(self, message: Message) -> None:
        message.reject_log_error(logger, self.connection_errors)

    def on_unknown_task(self, body: Any, message: Message, exc: Exception) -> None:
        """A task of the ledger's goes back there, for a worker that knows it; a foreign one is dead-lettered."""
        headers: dict[str, Any] = message.headers or {}
        epoch, task_id, name = headers.get(EPOCH_HEADER), headers.get("id"), headers.get("task")
        if epoch is None or task_id is None:
            super().on_unknown_task(body, message, exc)
            return
        error = f"No worker of its queue knows the task {name}. Deploy the code that has it, or correct its name."
        known = {"task": str(name), "task_id": str(task_id), "queue": (message.delivery_info or {}).get("routing_key")}
        logger.error("%s[%s]: %s", name, task_id, error, extra=correlation.about(**known))
        again = partial(give_back, task_id, epoch, error, reason=Reason.UNKNOWN)
        SETTLEMENTS.put(Job(task_id, again, then=lambda _: message.ack()))


def _written(envelope: Envelope) -> int:
    count = until_reachable(lambda: len(enqueue([envelope])))
    wake.wake()
    return count


def _kept(message: Message, count: int | None) -> None:
    """None: it could not be written, and the log tells why. An id that is known already keeps what it has."""
    if count is None:
        message.reject()
    else:
        message.ack()


def _without_alarm(record: logging.LogRecord) -> bool:
    """An ack over a connection that is gone is no more than news: the message comes again, and is acked unrun."""
    if str(record.msg).startswith("Couldn't ack"):
        record.levelno, record.levelname, record.exc_info = logging.INFO, "INFO", None
        record.msg += " RabbitMQ will deliver it again; the ledger knows what became of it."
    return True
