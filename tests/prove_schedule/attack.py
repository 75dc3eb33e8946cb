"""Three beats, killed and frozen at random, of two releases, with database and broker away at due moments."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from django.db import DatabaseError, InterfaceError, connection

from routing.ledger import database
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from tests.chaos.programs import Program
from tests.prove_schedule import fires, history, moved
from tests.prove_schedule.counts import Counts
from tests.prove_schedule.ground import Ground
from tests.prove_schedule.stock_beat import StockBeat
from tests.waiting import until

BEATS = 3
WINDOWS = ("schedule.registering", "schedule.taken", "schedule.fired", "schedule.decided", "schedule.committed")
BEAT = ("-m", "celery", "-A", "project", "--quiet", "beat")


class Attack:
    def __init__(self, ground: Ground, chance: random.Random) -> None:
        self._ground, self._chance = ground, chance
        self._beats = [ground.program(f"beat{number}", *BEAT, PROOF_RELEASE="A") for number in range(BEATS)]
        self._stock = StockBeat(ground)
        self._frozen: list[Program] = []
        self.performed: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Attack for so long, at least each act once."""
        acts: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "release": self._release,
            "database away": self._database_away,
            "broker away": self._broker_away,
            "crash window": self._crash_window,
        }
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or len(self.performed) < len(acts):
            for name in self._chance.sample(sorted(acts), len(acts)):
                if self.performed[name] and time.monotonic() > deadline:
                    break
                acts[name]()
                self.performed[name] += 1
                self._let_one_work()
                time.sleep(self._chance.uniform(0.1, 0.8))

    def _let_one_work(self) -> None:
        """Until something was decided after the act: on a slow machine nobody would else ever be up."""
        before = self._reachable(database.now)
        with suppress(AssertionError):
            until(lambda: ScheduleSlot.objects.filter(decided_at__gt=before).exists(), seconds=20)

    def start(self) -> None:
        moved.forget()
        history.note()
        for beat in self._beats:
            beat.start()
        self._stock.start()
        until(lambda: ScheduleEntry.objects.exists(), seconds=60, what="the first beat")
        until(lambda: len(fires.by_due_time()) > 5, seconds=60, what="the first fires")

    def settle(self) -> datetime:
        """Let all beats run until what is due now is decided. The moment up to which the judge looks."""
        self._thaw()
        end = self._reachable(database.now)
        until(lambda: self._is_decided(end), seconds=60, what="all that is due to be decided")
        for beat in self._beats:
            beat.begin_stop()
        self._stock.settle()
        return end

    def stop(self) -> None:
        self._thaw()
        for beat in self._beats:
            beat.stop(within=5)
        self._stock.stop()
        connection.close()

    def judge(self, end: datetime) -> tuple[Counts, Counts]:
        counts, found = Counts(), fires.by_due_time()
        for name, due in history.expected(end).items():
            counts.add(fires.judge(name, due, found))
        return counts, self._stock.judge()

    def _is_decided(self, end: datetime) -> bool:
        for entry in ScheduleEntry.objects.filter(removed_at=None):
            every = float(entry.timing.split()[1])
            if (end - entry.decided_until).total_seconds() >= every:
                return False
        return True

    def _kill(self) -> None:
        beat = self._chance.choice(self._beats)
        beat.signal(signal.SIGKILL, all_of_it=True)
        if beat is self._beats[0]:
            self._stock.kill()

    def _freeze(self) -> None:
        self._thaw()
        beat = self._chance.choice(self._beats)
        beat.signal(signal.SIGSTOP, all_of_it=True)
        self._frozen.append(beat)
        if beat is self._beats[0]:
            self._stock.freeze()

    def _thaw(self) -> None:
        while self._frozen:
            self._frozen.pop().signal(signal.SIGCONT, all_of_it=True)
        self._stock.thaw()

    def _release(self) -> None:
        """One beat comes back with other code, beside those that run the old."""
        beat = self._chance.choice(self._beats)
        beat.environment["PROOF_RELEASE"] = "B" if beat.environment["PROOF_RELEASE"] == "A" else "A"
        beat.signal(signal.SIGTERM)
        self._stock.overlap()

    def _crash_window(self) -> None:
        """One beat comes back, and dies at a place where it would hurt most."""
        beat = self._chance.choice(self._beats)
        window = self._chance.choice(WINDOWS)
        flag = self._ground.folder / f"window-{sum(self.performed.values())}"
        passes = 1 if window == "schedule.registering" else self._chance.randint(1, 4)
        beat.environment |= {"TASKYARD_FAULT": f"{window}:{passes}", "TASKYARD_FAULT_FLAG": str(flag)}
        beat.signal(signal.SIGKILL, all_of_it=True)

    def _database_away(self) -> None:
        _until_just_before_a_second()
        connection.close()
        self._ground.server.stop()
        time.sleep(self._chance.uniform(0.5, 1.5))
        self._ground.server.start()
        self._reachable(database.now)

    def _broker_away(self) -> None:
        self._stock.until_just_before_it_is_due()
        self._ground.gate.signal(signal.SIGUSR1)
        time.sleep(self._chance.uniform(1.0, 3.0))
        self._ground.gate.signal(signal.SIGUSR2)

    def _reachable(self, ask: Callable[[], datetime]) -> datetime:
        def answer() -> datetime | None:
            try:
                return ask()
            except (DatabaseError, InterfaceError):
                connection.close()
                return None

        return until(answer, what="the database")


def _until_just_before_a_second() -> None:
    time.sleep((0.9 - time.time()) % 1)
