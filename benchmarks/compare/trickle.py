"""``python -m benchmarks.compare.trickle``: what calls that come one by one cost, and how long they wait.

For each rate: ms from ``delay()`` to the first line of the task, and ms of processor time a task in each program.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.compare.__main__ import prepare, stop_in_good_order
from benchmarks.compare.contenders import DOCUMENTED, KEPT, OURS
from benchmarks.compare.rounds import Setting, Size, Turn
from benchmarks.compare.services import running

SECONDS = 10


class Trickle(Turn):
    """A turn that is calls one by one and nothing else."""

    def answer_at(self, rate: float) -> dict[str, float]:
        self._slice = {}
        self._waits.clear()
        with self._accounted(int(rate * SECONDS)):
            self._load("load", rate, SECONDS, seed=0)
        return self._slice | self.figures


def _say(rate: float, figures: dict[str, float]) -> None:
    costs = ", ".join(f"{name[4:]} {value:.2f}" for name, value in figures.items() if name.startswith("cpu_"))
    waits = f"p50 {figures['load_p50_ms']:.1f}, p99 {figures['load_p99_ms']:.1f} ms"
    sys.stdout.write(f"{rate:g} calls/s: {waits}; processor ms a task: {costs}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.trickle", description=__doc__)
    parser.add_argument("rates", type=float, nargs="*", default=[34, 100, 200], help="calls a second (34 100 200)")
    parser.add_argument("--contender", choices=["ours", "documented", "kept"], default="ours")
    options = parser.parse_args()
    if any(rate < 1 for rate in options.rates):
        parser.error("Rates must be at least 1 call a second.")
    stop_in_good_order()
    with tempfile.TemporaryDirectory(prefix="taskyard-bench-") as name, running(Path(name)) as services:
        prepare(services, Path(name))
        setting = Setting(services=services, folder=Path(name), size=Size(loaded_seconds=SECONDS), prefetch=4)
        chosen = {"ours": OURS, "documented": DOCUMENTED, "kept": KEPT}[options.contender]
        turn = Trickle(chosen, setting, seed=0)
        with ExitStack() as stack:
            turn.open(stack)
            turn.start(stack)
            for rate in options.rates:
                _say(rate, turn.answer_at(rate))


if __name__ == "__main__":
    main()
