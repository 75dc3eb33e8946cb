"""``python -m benchmarks.alive``: what ``manage.py alive`` costs, beside an interpreter that does nothing."""

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
TIMES = 30
COMMANDS = {"manage.py alive worker": ["manage.py", "alive", "worker"], "python -c pass": ["-c", "pass"]}


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(TIMES):
        for name, arguments in COMMANDS.items():
            seconds[name].append(_processor_time(arguments))
    for name, found in seconds.items():
        sys.stdout.write(
            f"{name:24} {median(found) * 1e3:5.1f} ms of processor time "
            f"({min(found) * 1e3:.1f} to {max(found) * 1e3:.1f})\n"
        )


def _processor_time(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Nobody need be alive: the answer costs the same.
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
