"""Lookout: what may take long beside an old transaction is looked at by a thread that can wait for it."""

import time

from routing.broker.gate import Gate
from routing.domains import registry
from routing.ledger import outbox
from routing.ledger.floors import SHARE, Floors

LOOK_FOR_QUEUES_EVERY = 5.0


class Lookout:
    """``queues`` are all that are declared, and those of domains that were removed in which something waits."""

    def __init__(self) -> None:
        self.queues: list[str] = list(registry().pools)
        self.floors = Floors()
        self.gate = Gate()
        self._look_for_queues_at = float("-inf")

    def run_once(self) -> None:
        began = time.monotonic()
        if began >= self._look_for_queues_at:
            self.queues += [queue for queue in outbox.queues() if queue not in self.queues]
            now = time.monotonic()
            self._look_for_queues_at = now + max(LOOK_FOR_QUEUES_EVERY, SHARE * (now - began))
        if overdue := self.floors.overdue():
            outbox.due_queues(overdue, floors=self.floors, in_full=True)
