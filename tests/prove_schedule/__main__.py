"""``python -m tests.prove_schedule``: what ``make prove-schedule`` runs."""

import argparse
import json
import logging
import os
import random
import sys
import time

from tests.prove_schedule.counts import Counts
from tests.prove_schedule.ground import Ground

QUICK, FULL = 10.0, 300.0
"""Seconds of attacks."""
SHOWN = 10


def main() -> int:
    options = _options()
    began = time.monotonic()
    ground = Ground()
    try:
        ground.start()
        # Django and the project's settings read the environment when they are loaded.
        os.environ.clear()
        os.environ.update(ground.environment)
        import django

        django.setup()
        return _prove(ground, options, began)
    finally:
        ground.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove_schedule", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every zone and year, and minutes of attacks")
    parser.add_argument("--seconds", type=float, help="of attacks")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="what chance decides")
    return parser.parse_args()


def _prove(ground: Ground, options: argparse.Namespace, began: float) -> int:
    from tests.prove_schedule import moved, zones

    logging.disable(logging.WARNING)
    chance = random.Random(options.seed)  # noqa: S311
    seconds = options.seconds or (FULL if options.full else QUICK)
    _say(f"seed {options.seed}, {'all of it' if options.full else 'the quick form; FULL=1 for all'}")
    ours, stock = Counts(), Counts()

    timing, stock_timing, looked = zones.prove(full=options.full, chance=chance)
    _tell("clock changes, beside Debian's cron", timing, stock_timing, ours, stock)
    _say(f"    {looked}")
    _tell("four hours down across a weekly slot", moved.outage(), moved.stock_outage(), ours, stock)
    _tell(
        "nights on a moved clock",
        moved.nights(moved.choose(full=options.full, chance=chance), chance),
        None,
        ours,
        stock,
    )
    ground.wait()
    performed = _attack(ground, chance, seconds, ours, stock)

    for finding in ours.findings[:SHOWN]:
        _say(f"    {finding}")
    took = time.monotonic() - began
    result = {
        "slots": ours.slots,
        "fired": ours.fired,
        "recorded_missed": ours.recorded_missed,
        "lost": ours.lost,
        "doubled": ours.doubled,
        "stock_slots": stock.slots,
        "stock_lost": stock.lost,
        "stock_doubled": stock.doubled,
        "attacks": performed,
        "seed": options.seed,
        "seconds": round(took, 1),
    }
    _say(json.dumps(result))
    return 0 if ours.is_good else 1


def _attack(ground: Ground, chance: random.Random, seconds: float, ours: Counts, stock: Counts) -> dict[str, int]:
    from tests.prove_schedule.attack import Attack

    attack = Attack(ground, chance)
    try:
        attack.start()
        attack.run(seconds)
        end = attack.settle()
    finally:
        attack.stop()
    counts, stock_counts = attack.judge(end)
    _tell("three beats under attack", counts, stock_counts, ours, stock)
    return dict(attack.performed)


def _tell(part: str, ours: Counts, stock: Counts | None, all_ours: Counts, all_stock: Counts) -> None:
    all_ours.add(ours)
    all_stock.add(stock or Counts())
    _say(part)
    _say(_line("Taskyard", ours))
    if stock:
        _say(_line("Celery's beat", stock))


def _line(who: str, counts: Counts) -> str:
    return (
        f"    {who:<14} {counts.slots:>7} due  {counts.fired:>7} fired  {counts.recorded_missed:>5} recorded as missed"
        f"  {counts.lost:>5} lost  {counts.doubled:>5} doubled"
    )


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
