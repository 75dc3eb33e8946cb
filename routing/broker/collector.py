"""Collector: takes what lies in RabbitMQ's dead-letter queues into the ledger, and lets RabbitMQ forget it after that.

In a thread of its own, with its own connections: neither a broker that hangs nor a flood of dead letters holds up the
relay. Several may run at once. What is taken and not acked RabbitMQ gives again, and the ledger knows it.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError, InterfaceError

from routing import faults
from routing.broker import given_up
from routing.broker.names import logical, physical
from routing.broker.publisher import BrokerTrouble, Publisher
from routing.broker.topology import UNROUTED_QUEUE
from routing.domains import registry
from routing.ledger import database
from routing.ledger.dead_messages import Fate, receive
from routing.ledger.patience import is_passing

logger = logging.getLogger(__name__)

EVERY = 5.0
TICK = 1.0
IN_TURN = 200
"""Messages of one queue, before the next has its turn."""
LEAVE_ALONE = 600.0
"""Seconds for a queue with something that cannot be taken. RabbitMQ 4 drops what was given back to such a queue 20
times, and each try is one time."""
LONGEST_PAUSE = 60.0


def queues() -> list[str]:
    return [*(domain.dead_letter_queue for domain in registry()), logical(UNROUTED_QUEUE.name)]


class Collector(threading.Thread):
    """``stands_by``: whether another relay is to do it just now."""

    def __init__(self, *, stop: threading.Event, stands_by: Callable[[], bool] = lambda: False) -> None:
        super().__init__(name="collector", daemon=True)
        self._stop_all = stop
        self._stands_by = stands_by
        self._broker = Publisher(confirm_timeout=timedelta(seconds=15))
        self._left_alone: dict[str, float] = {}
        self._failures = 0

    def run(self) -> None:
        """Until told to stop; then the message at hand is finished."""
        next_at, more = 0.0, False
        while not self._stop_all.wait(0 if more else TICK):
            more = False
            try:
                if time.monotonic() < next_at or self._stands_by():
                    self._tick()
                else:
                    more = self._round()
                    next_at = time.monotonic() + (0 if more else EVERY)
                self._failures = 0
            except (BrokerTrouble, DatabaseError, InterfaceError) as error:
                next_at = time.monotonic() + self._fail(error)
            except Exception:
                # The edge of the thread: what one message did is not to end it.
                logger.exception("The dead-letter queues cannot be emptied")
                next_at = time.monotonic() + self._fail(None)
        self.close()

    def run_once(self) -> Counter[Fate]:
        """Take a turn at each queue. Raises BrokerTrouble, DatabaseError and InterfaceError."""
        # Nothing is taken that could only be given back: RabbitMQ counts how often that happens.
        database.rows("SELECT 1")
        fates: Counter[Fate] = Counter()
        for queue in queues():
            if self._left_alone.get(queue, 0.0) <= time.monotonic():
                self._empty(queue, fates)
        return fates

    def close(self) -> None:
        self._broker.close()
        database.connection().close()

    def _round(self) -> bool:
        """Whether there may be more at once."""
        fates = self.run_once()
        if fates:
            told = ", ".join(f"{count} {fate.value}" for fate, count in fates.items())
            logger.warning("Of what RabbitMQ gave up: %s", told)
        return fates.total() >= IN_TURN

    def _empty(self, queue: str, fates: Counter[Fate]) -> None:
        if not self._broker.ready(queue):
            return
        # Closed without a word where something goes wrong: RabbitMQ then gives the message at hand again.
        channel: Any = self._broker.examine(lambda connection: connection.channel())
        for _ in range(IN_TURN):
            if self._stop_all.is_set() or (message := self._next(channel, queue)) is None:
                break
            fates[self._decide(message, queue)] += 1
            faults.point("dead.unacked")
            self._broker.examine(partial(_ack, message))
        self._broker.examine(lambda _: channel.close())

    def _next(self, channel: Any, queue: str) -> Any:
        try:
            return self._broker.examine(lambda _: channel.basic_get(physical(queue)))
        except (ValueError, OverflowError, RecursionError):
            # Our client itself cannot read it, such as a header with a time after the year 9999.
            logger.warning("A message in %s cannot be read, and those behind it wait: take it out by hand", queue)
            self._left_alone[queue] = time.monotonic() + LEAVE_ALONE
            raise

    def _decide(self, message: Any, queue: str) -> Fate:
        try:
            return receive(given_up.read(message, source=queue))
        except Exception as error:
            if isinstance(error, DatabaseError | InterfaceError) and is_passing(error):
                raise
            logger.exception("A message of %s cannot be understood; its bytes are kept", queue)
            self._left_alone[queue] = time.monotonic() + LEAVE_ALONE
            fate = receive(given_up.unread(message, source=queue, error=error))
            del self._left_alone[queue]
            return fate

    def _tick(self) -> None:
        if self._broker.connection is not None:
            self._broker.tick()

    def _fail(self, error: Exception | None) -> float:
        """Seconds to wait."""
        if error is not None and not self._failures:
            logger.warning("The dead-letter queues wait: %s", error)
        self._failures += 1
        self._broker.drop()
        database.connection().close()
        return float(min(EVERY * 2 ** min(self._failures, 10), LONGEST_PAUSE))


def _ack(message: Any, _connection: Any) -> None:
    message.channel.basic_ack(message.delivery_tag)
