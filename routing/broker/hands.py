"""Hands: which queues a relay takes from, so that one with a backlog does not hold up the others.

The quick hand takes from every queue, a little at a time. A queue that has more due than that, whose window is full, or
that keeps RabbitMQ waiting goes over to the slow hand, and comes back when nothing more is due in it.
"""

import threading

from routing.ledger import wake


class Hand:
    """One that takes from all queues. All but ``SlowQueues`` belongs to one thread."""

    name = "only"

    def __init__(self, stop: threading.Event) -> None:
        self._waiter = wake.Waiter(stop)

    def has_work(self) -> bool:
        """Whether it takes from any queue just now."""
        return True

    def takes(self, queue: str) -> bool:
        return True

    def has_more(self, queue: str) -> None:
        """It has taken from this queue what it may at once, and more may be due."""

    def emptied(self, queue: str) -> None:
        """Nothing more is due in this queue."""

    def busy(self) -> None:
        """Something was published just now, so more is likely."""
        self._waiter.busy()

    def wait(self, seconds: float) -> None:
        """Return when there may be work, and after ``seconds`` at the latest."""
        self._waiter.wait(seconds)

    def rest(self, seconds: float, *, at_least: float) -> None:
        """As ``wait``, but not before ``at_least`` are over, unless told to stop."""
        self._waiter.rest(at_least)
        self.wait(seconds - at_least)

    def close(self) -> None:
        """Safe to call again."""
        self._waiter.close()


class SlowQueues:
    """The queues of the slow hand, known to both."""

    def __init__(self) -> None:
        self._queues: frozenset[str] = frozenset()
        self._news = threading.Event()
        self._lock = threading.Lock()

    def __contains__(self, queue: str) -> bool:
        return queue in self._queues

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, queue: str) -> None:
        with self._lock:
            self._queues |= {queue}
        self._news.set()

    def remove(self, queue: str) -> None:
        with self._lock:
            self._queues -= {queue}

    def wait(self, seconds: float) -> None:
        """Until one more has come, or ``interrupt`` is called."""
        self._news.wait(seconds)
        self._news.clear()

    def interrupt(self) -> None:
        self._news.set()


class QuickHand(Hand):
    name = "quick"

    def __init__(self, stop: threading.Event, slow: SlowQueues) -> None:
        super().__init__(stop)
        self._slow = slow

    def takes(self, queue: str) -> bool:
        return queue not in self._slow

    def has_more(self, queue: str) -> None:
        self._slow.add(queue)


class SlowHand(Hand):
    name = "slow"

    def __init__(self, stop: threading.Event, slow: SlowQueues) -> None:
        super().__init__(stop)
        self._slow = slow

    def has_work(self) -> bool:
        return bool(self._slow)

    def takes(self, queue: str) -> bool:
        return queue in self._slow

    def emptied(self, queue: str) -> None:
        if queue in self._slow:
            self._slow.remove(queue)
            # What came meanwhile, or comes due, the quick hand has looked past.
            wake.wake()

    def wait(self, seconds: float) -> None:
        self._slow.wait(seconds)
