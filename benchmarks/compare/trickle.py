"""``python -m benchmarks.compare.trickle``: what calls that come one by one cost, and how long they wait.

For each rate: ms from ``delay()`` to the task's first line, and ms of processor time a task in each program. All get
turns of some seconds, so that a machine that changes its pace changes it for all.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.compare.__main__ import prepare, stop_in_good_order
from benchmarks.compare.contenders import DOCUMENTED, KEPT, OURS, Contender
from benchmarks.compare.rounds import Figures, Setting, Size, Turn
from benchmarks.compare.services import running

CONTENDERS = {"ours": OURS, "documented": DOCUMENTED, "kept": KEPT}
SECONDS = 4


class Trickle(Turn):
    """Turns that are calls one by one and nothing else."""

    def __init__(self, contender: Contender, setting: Setting) -> None:
        super().__init__(contender, setting, seed=0)
        self._costs: dict[float, list[Figures]] = defaultdict(list)

    def answer_at(self, rate: float, *, seed: int) -> None:
        self._slice = {}
        with self._accounted(int(rate * SECONDS)):
            self._load(f"{rate:g}", rate, SECONDS, seed)
        self._costs[rate].append(self._slice)

    def said_of(self, rate: float) -> str:
        waits = " / ".join(f"{self._figures[f'{rate:g}_{share}_ms']:.1f}" for share in ("p50", "p99"))
        costs = {key[4:]: median(each[key] for each in self._costs[rate]) for key in self._slice if key[:4] == "cpu_"}
        told = ", ".join(f"{program} {value:.2f}" for program, value in costs.items())
        return f"{rate:5g} calls/s  {self.contender.name:24}  p50 / p99 {waits:>15} ms  processor ms a task: {told}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.trickle", description=__doc__)
    parser.add_argument("rates", type=float, nargs="*", default=[50, 100, 200], help="calls a second (50 100 200)")
    parser.add_argument(
        "--contenders", choices=sorted(CONTENDERS), nargs="+", default=["ours"], help="who is called (ours)"
    )
    parser.add_argument("--turns", type=int, default=5, help=f"of each, of {SECONDS} seconds (5)")
    options = parser.parse_args()
    if any(rate < 1 for rate in options.rates):
        parser.error("Rates must be at least 1 call a second.")
    if options.turns < 1:
        parser.error("There must be at least one turn.")
    stop_in_good_order()
    with tempfile.TemporaryDirectory(prefix="taskyard-bench-") as name, running(Path(name)) as services:
        prepare(services, Path(name))
        setting = Setting(services=services, folder=Path(name), size=Size(), prefetch=4)
        trickles = [Trickle(CONTENDERS[one], setting) for one in dict.fromkeys(options.contenders)]
        with ExitStack() as stack:
            for trickle in trickles:
                trickle.open(stack)
                trickle.start(stack)
            for number in range(options.turns):
                for rate in options.rates:
                    for trickle in trickles if number % 2 == 0 else reversed(trickles):
                        trickle.answer_at(rate, seed=number)
        for rate in options.rates:
            for trickle in trickles:
                sys.stdout.write(f"{trickle.said_of(rate)}\n")


if __name__ == "__main__":
    main()
