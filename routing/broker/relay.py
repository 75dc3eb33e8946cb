"""Relay: publishes what is due, queue by queue in turn, and waits for more. Any number may run at once."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError

from routing import correlation, tracing
from routing.broker import batch_told, evidence
from routing.broker.hands import Hand
from routing.broker.keeper import Keeper
from routing.broker.lookout import Lookout
from routing.broker.publisher import BrokerTrouble, Publisher
from routing.broker.rests import LONGEST_REST, Rests
from routing.broker.topology import Undeclarable
from routing.broker.windows import LOOK_AGAIN_AFTER, Windows
from routing.domains import registry
from routing.ledger import database, outbox
from routing.ledger.marker import Overtaken
from routing.ledger.outbox import Batch

logger = logging.getLogger(__name__)

EXAMINE_EVERY = 10.0
TICK = 1.0
TAKEN_BY_OTHERS = 0.02
"""Seconds to wait where all that is due is in another relay's batch."""
TAKE_IN_EVERY = 0.25
"""Seconds, at least, between two looks at what RabbitMQ says by itself; its answers to publications are waited for."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """``window``: messages ready in a queue. ``batch``: publications of one queue, of ``max_bytes`` together."""

    window: int
    batch: int
    max_bytes: int = 8 * 1024 * 1024
    confirm_timeout: timedelta = timedelta(seconds=15)

    def __post_init__(self) -> None:
        for name in ("window", "batch", "max_bytes"):
            if getattr(self, name) < 1:
                raise ImproperlyConfigured(f"A relay's {name} must be at least 1, not {getattr(self, name)}.")
        if self.confirm_timeout <= timedelta():
            raise ImproperlyConfigured("TASKYARD_RELAY_CONFIRM_TIMEOUT must be above zero.")

    @classmethod
    def from_settings(cls, *, window: int | None = None, batch: int | None = None) -> "Config":
        return cls(
            window=settings.TASKYARD_RELAY_WINDOW if window is None else window,
            batch=settings.TASKYARD_RELAY_BATCH if batch is None else batch,
            confirm_timeout=settings.TASKYARD_RELAY_CONFIRM_TIMEOUT,
        )


class Pause:
    """Doubles with each failure, up to LONGEST_PAUSE."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE
        self._until = 0.0

    @property
    def seconds(self) -> float:
        """What is left of it."""
        return max(self._until - time.monotonic(), 0.0)

    def failed(self) -> None:
        self._until = time.monotonic() + self._next
        self._next = min(self._next * 2, LONGEST_PAUSE)

    def succeeded(self) -> None:
        self._next, self._until = FIRST_PAUSE, 0.0


class Relay:
    """``hand`` says which queues it takes from; by itself it takes from all of them.

    ``beside``: another relay in this process, so that both go by what either knows of the windows.
    """

    def __init__(
        self,
        config: Config,
        *,
        stop: threading.Event,
        keeper: Keeper | None = None,
        hand: Hand | None = None,
        beside: "Relay | None" = None,
    ) -> None:
        self._config = config
        self._stop = stop
        self._keeper = keeper
        self._hand = hand or Hand(stop)
        self._publisher = Publisher(confirm_timeout=config.confirm_timeout)
        known = beside._windows if beside is not None else None
        self._windows: Windows = Windows(self._publisher, config.window, beside=known)
        self._lookout = Lookout() if keeper is None else keeper.lookout
        self._rests = Rests()
        self._turns: deque[str] = deque()
        self._examined_at = self._took_in_at = float("-inf")
        self._broker_pause, self._database_pause = Pause(), Pause()
        self._trouble = ""
        self._lack = ""
        """A queue is missing, and we may not declare it: the others go on."""
        self._lack_told = ""

    def run(self) -> None:
        """Until told to stop; then the batch at hand is finished."""
        try:
            while not self._stop.is_set():
                self._turn()
        finally:
            self._hand.close()
            self._publisher.close()
            database.connection().close()

    def run_once(self) -> tuple[int, float]:
        """One batch from each queue that has room. How many publications that were, and seconds until the next look.

        Raises BrokerTrouble.
        """
        if not self._hand.has_work():
            if self._publisher.connection is not None:
                self._publisher.tick()
            return 0, TICK
        self._secure()
        gate = self._lookout.gate
        mine = [queue for queue in self._in_turn() if self._hand.takes(queue) and gate.is_open(queue)]
        due = outbox.due_queues(mine, floors=self._lookout.floors)
        soonest = min([TICK, *(seconds for seconds in due.values() if seconds > 0)])
        waiting = [queue for queue in mine if due.get(queue, 1.0) <= 0]
        for queue in set(mine).difference(waiting):
            self._hand.emptied(queue)
        count, is_more, has_room = self._relay_in_turn(waiting)
        if count:
            return count, 0.0 if is_more else LONGEST_REST
        if not waiting:
            return 0, soonest
        return 0, min(soonest, TAKEN_BY_OTHERS if has_room else LOOK_AGAIN_AFTER)

    def _relay_in_turn(self, waiting: Iterable[str]) -> tuple[int, bool, bool]:
        """One batch from each. How many publications, whether one was full, and whether any queue had room."""
        count, is_more, has_room = 0, False, False
        for queue in waiting:
            if self._stop.is_set():
                break
            room = self._room(queue)
            if not room:
                self._hand.has_more(queue)
                continue
            has_room = True
            with self._lookout.gate.passing(queue) as is_open:
                batch = self._relay(queue, room) if is_open else None
            count, is_more = count + len(batch or ()), is_more or bool(batch and batch.is_full)
        return count, is_more, has_room

    def close(self) -> None:
        """After ``run_once``."""
        self._publisher.close()

    def _turn(self) -> None:
        """One round, and then a wait if there is nothing more to do."""
        if self._keeper is not None and self._keeper.stands_by:
            self._stop.wait(TICK)
            return
        self._stop.wait(max(self._broker_pause.seconds, self._database_pause.seconds))
        try:
            count, seconds = self.run_once()
            self._recover()
            if count:
                self._hand.busy()
                quiet = self._rests.after(count)
                if seconds:
                    self._hand.rest(seconds, at_least=quiet)
            else:
                self._hand.wait(seconds)
        except BrokerTrouble as error:
            logger.debug("Dropping the connection", exc_info=error)
            self._lose_broker(str(error))
        except (DatabaseError, InterfaceError) as error:
            self._lose_database(error)

    def _secure(self) -> None:
        """Be connected, to a broker that still has what it confirmed and all its queues."""
        is_new = self._publisher.connection is None
        if is_new:
            self._windows.forget()
        now = time.monotonic()
        if is_new or now - self._took_in_at > TAKE_IN_EVERY:
            self._publisher.tick()
            self._took_in_at = now
        if is_new or now - self._examined_at > EXAMINE_EVERY:
            self._lack = ""
            try:
                if self._publisher.examine(lambda connection: evidence.examine(connection, registry())):
                    self._windows.forget()
            except Undeclarable as error:
                if evidence.MARKER in error.names:
                    # Without it nothing proves that RabbitMQ keeps what it confirms.
                    raise BrokerTrouble(str(error)) from error
                self._lack = str(error)
            self._examined_at = time.monotonic()

    def _in_turn(self) -> Iterable[str]:
        """All queues, those of domains that were removed as well. Each time another one comes first."""
        if self._keeper is None:
            self._lookout.run_once()
            self._lookout.gate.follow()
        self._turns.extend(queue for queue in self._lookout.queues if queue not in self._turns)
        self._turns.rotate(-1)
        return self._turns

    def _room(self, queue: str) -> int:
        room = self._windows.room(queue)
        if room is not None:
            # What troubled the broker may have been a message of ours: one first, to see.
            return min(room, 1) if self._trouble else room
        if queue not in registry().pools:
            # Nobody will declare it. Published, it comes back, and goes out of the way with its reason.
            return self._config.batch
        if not self._lack:
            self._examined_at = float("-inf")
        return 0

    def _relay(self, queue: str, room: int) -> Batch | None:
        try:
            limit, most = min(self._config.batch, room), self._config.max_bytes
            with outbox.batch(queue, limit=limit, max_bytes=most, floors=self._lookout.floors) as batch:
                if batch.publications:
                    began_at = time.time_ns()
                    batch.refuse(self._publisher.publish(batch.publications))
                    ended_at = time.time_ns()
        except Overtaken:
            lost = "RabbitMQ lost messages while a batch for %s was published; it goes out again"
            logger.warning(lost, queue, extra=correlation.about(queue=queue))
            return None
        except BrokerTrouble:
            # It may be this queue alone that RabbitMQ does not confirm: its replicas cannot be reached.
            self._hand.has_more(queue)
            raise
        if batch.is_full and not self._trouble:
            self._hand.has_more(queue)
        elif not batch.is_full:
            self._hand.emptied(queue)
        self._windows.fill(queue, len(batch.publications) - len(batch.refused))
        batch_told.tell(batch)
        if tracing.active is not None and batch.publications:
            # What is taken is locked no longer, and cannot go back, and out again, for the sake of a span.
            tracing.active.published(batch.publications, batch.refused, began_at=began_at, ended_at=ended_at)
        return batch

    def _lose_broker(self, trouble: str) -> None:
        self._publisher.drop()
        self._broker_pause.failed()
        self._tell(trouble)

    def _lose_database(self, error: Exception) -> None:
        database.connection().close()
        self._database_pause.failed()
        self._tell(f"The database cannot be used: {error}".strip())

    def _recover(self) -> None:
        self._broker_pause.succeeded()
        self._database_pause.succeeded()
        if self._trouble:
            logger.info("Publishing again")
        self._tell("")

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            logger.warning("Nothing is published: %s", trouble)
        self._trouble = trouble
        if self._lack != self._lack_told and self._lack:
            logger.warning("%s", self._lack)
        self._lack_told = self._lack
        if self._keeper is not None:
            self._keeper.report(trouble or self._lack, hand=self._hand.name)
