"""Celery's own beat under the same attacks: one process, as its documentation demands, and two while it is updated."""

import json
import signal
import threading
import time
from collections import Counter

from kombu import Connection

from tests.chaos.programs import Program
from tests.prove_schedule.counts import Counts
from tests.prove_schedule.ground import Ground

OVERLAP = 6.0
"""Seconds; about as long as the new one needs to start, and some more."""
QUEUE, PERIODS = "stock", {"steady": 2, "slow": 5}
"""As in stock.py, which is a program of its own."""


class StockBeat:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._number = 0
        self._beat = self._new()
        self._began_at = 0.0
        self._ended_at = 0.0
        self._retired: list[Program] = []

    def start(self) -> None:
        self._beat.start()

    def kill(self) -> None:
        self._beat.signal(signal.SIGKILL, all_of_it=True)

    def freeze(self) -> None:
        self._beat.signal(signal.SIGSTOP, all_of_it=True)

    def thaw(self) -> None:
        self._beat.signal(signal.SIGCONT, all_of_it=True)

    def overlap(self) -> None:
        """The next release is started, as in a container of its own, and then the old one is stopped."""
        old, self._beat = self._beat, self._new()
        self._beat.start()
        self._retired.append(old)
        threading.Timer(OVERLAP, old.begin_stop).start()

    def until_just_before_it_is_due(self) -> None:
        time.sleep((PERIODS["steady"] - 0.2 - time.time()) % PERIODS["steady"])

    def settle(self) -> None:
        self._ended_at = time.time()
        self._beat.begin_stop()

    def stop(self) -> None:
        for beat in [*self._retired, self._beat]:
            beat.stop(within=5)

    def judge(self) -> Counts:
        """Each due time between its first fire and the end, by the moments at which it fired."""
        counts = Counts()
        fired = _fired(self._ground.broker.node.url)
        for name, period in PERIODS.items():
            by_slot = Counter(int(at // period) for at in fired.get(name, []))
            slots = range(min(by_slot), int(self._ended_at // period)) if by_slot else range(0)
            counts.slots += len(slots)
            counts.fired += sum(1 for slot in slots if by_slot[slot])
            counts.lost += sum(1 for slot in slots if not by_slot[slot])
            counts.doubled += sum(max(by_slot[slot] - 1, 0) for slot in slots)
        return counts

    def _new(self) -> Program:
        self._number += 1
        file = str(self._ground.folder / f"stock-schedule-{self._number}")
        command = ["-m", "celery", "-A", "tests.prove_schedule.stock", "--quiet", "beat", "--schedule", file]
        return self._ground.program(f"stock{self._number}", *command, "--pidfile", "")


def _fired(url: str) -> dict[str, list[float]]:
    """When each entry's messages were published, as they tell themselves."""
    found: dict[str, list[float]] = {}
    with Connection(url) as broker, broker.channel() as channel:
        while (message := channel.basic_get(QUEUE, no_ack=True)) is not None:  # type: ignore[attr-defined]
            name, at = json.loads(message.body)[0]
            found.setdefault(name, []).append(at)
    return found
