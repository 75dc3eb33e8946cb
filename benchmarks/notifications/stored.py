"""How many recipients a second one process stores, of each kind, beside as many deliveries as are wanted."""

import json
import subprocess
import sys
import time
from statistics import median

from benchmarks.compare.contenders import ROOT
from benchmarks.notifications import rows as deliveries
from benchmarks.notifications.storing import KINDS
from benchmarks.relay.sheet import Sheet

WANTED = 3_000
"""A second."""


def measure(*, count: int, rounds: int, rows: int) -> bool:
    """False if of a kind fewer were stored than is wanted."""
    sheet = Sheet()
    if rows:
        began = time.monotonic()
        deliveries.make(rows)
        sheet.say(f"{rows:,} deliveries, made in {time.monotonic() - began:.0f} s")
    taken = {kind: [_store(count, kind) for _ in range(rounds)] for kind in KINDS}
    sheet.say(f"\n{f'{count:,} recipients':28} {'a second':>10} {'lowest':>10} {'highest':>10} {'us of ours each':>16}")
    for kind, each in taken.items():
        speeds = [one["stored_per_s"] for one in each]
        used = median(one["cpu_us_each"] for one in each)
        sheet.say(f"  {kind:26} {median(speeds):10,.0f} {min(speeds):10,.0f} {max(speeds):10,.0f} {used:16,.0f}")
    figures = {kind: median(one["stored_per_s"] for one in each) for kind, each in taken.items()}
    for name, value in {"stored_per_s": figures, "count": count, "rounds": rounds, "rows": rows}.items():
        sheet.note(name, value)
    if slow := [kind for kind, speed in figures.items() if speed < WANTED]:
        sheet.say(f"\n  Fewer than {WANTED:,} a second: {', '.join(slow)}")
    sheet.as_json()
    return not slow


def _store(count: int, kind: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.notifications.storing", str(count), kind]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
