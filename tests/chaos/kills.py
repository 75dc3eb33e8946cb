"""The killer: one thread for each target, which attacks it as the seed decides, until it is told to stop."""

import threading
import time
from collections import Counter
from collections.abc import Iterable

from tests.chaos.acts import Act, Missed
from tests.chaos.broker_acts import BrokerActs
from tests.chaos.cast import Cast
from tests.chaos.database_acts import PostgresqlActs, SqliteActs
from tests.chaos.ground import Ground
from tests.chaos.plan import Decision, Target, decisions
from tests.chaos.program_acts import ProgramActs
from tests.chaos.report import Report

ENDED_WITHIN = 180


class Killer:
    def __init__(self, ground: Ground, cast: Cast, report: Report) -> None:
        self._programs, self._broker = ProgramActs(cast), BrokerActs(ground.cluster)
        url = ground.database_url
        database = PostgresqlActs(ground.server, url) if ground.server else SqliteActs(url.removeprefix("sqlite:///"))
        self._acts: dict[str, Act] = {**self._programs.kinds(), **self._broker.kinds(), **database.kinds()}
        self._report = report
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.performed: Counter[str] = Counter()
        self.failed: list[str] = []
        """Attacks that something did not recover from, in sentences."""

    def start(self, targets: Iterable[Target], seed: int) -> None:
        for target in targets:
            thread = threading.Thread(target=self._attack, args=(target, seed), name=target.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Return when the attacks at hand are over, and everything works again."""
        self._stopping.set()
        deadline = time.monotonic() + ENDED_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self.failed.append(f"The attack on {thread.name} does not end.")
        self._programs.mend()
        self._broker.mend()

    def _attack(self, target: Target, seed: int) -> None:
        for decision in decisions(seed, target):
            if self._stopping.wait(decision.pause):
                return
            try:
                self._perform(target, decision)
            except Exception as error:  # noqa: BLE001  (the edge of the thread: reported, and the run fails)
                self.failed.append(f"{decision.kind} of {target.name}: {error!r}")
                self._report.say(f"{decision.kind} failed, and {target.name} is left alone now: {error!r}")
                return

    def _perform(self, target: Target, decision: Decision) -> None:
        began = self._report.clock()
        try:
            done = self._acts[decision.kind](target, decision)
        except Missed:
            self._report.act(began, decision.kind, f"{target.name}: nobody was there")
            return
        with self._lock:
            self.performed[decision.kind] += 1
        self._report.act(began, decision.kind, done)
