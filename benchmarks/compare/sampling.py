"""Where a process spends its time: its stack, looked at every millisecond, without a profiler's weight on each call.

A worker gets it with ``--include=benchmarks.compare.sampling``, any other program as
``python -m benchmarks.compare.sampling manage.py relay``. SAMPLES names the folder, SAMPLES_OF is cpu or wall.
"""

import atexit
import os
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from celery import signals

EVERY = 0.001
TIMERS = {"cpu": (signal.ITIMER_PROF, signal.SIGPROF), "wall": (signal.ITIMER_REAL, signal.SIGALRM)}

_seen: Counter[tuple[str, ...]] = Counter()


def start(**_: Any) -> None:
    """Begin anew: a forked child has its own."""
    _seen.clear()
    timer, number = TIMERS[os.environ.get("SAMPLES_OF", "cpu")]
    signal.signal(number, _look)
    signal.siginterrupt(number, False)
    signal.setitimer(timer, EVERY, EVERY)


def write(**_: Any) -> None:
    """One line for each stack, outermost function first, and how often it was seen."""
    timer, _number = TIMERS[os.environ.get("SAMPLES_OF", "cpu")]
    signal.setitimer(timer, 0)
    lines = [f"{';'.join(reversed(stack))} {count}" for stack, count in _seen.most_common()]
    Path(os.environ["SAMPLES"], f"{_role()}.{os.getpid()}.stacks").write_text("\n".join(lines))


def _look(_number: int, frame: FrameType | None) -> None:
    stack = []
    while frame is not None:
        code = frame.f_code
        stack.append(f"{'/'.join(code.co_filename.rsplit('/', 3)[1:])}:{code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    _seen[tuple(stack)] += 1


_main = os.getpid()


def _role() -> str:
    if "relay" in sys.argv:
        return "relay"
    return "main" if os.getpid() == _main else "child"


def main() -> None:
    del sys.argv[0]
    sys.path.insert(0, str(Path.cwd()))
    atexit.register(write)
    start()
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
elif "SAMPLES" in os.environ:
    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutdown.connect(write, weak=False)
    signals.worker_process_init.connect(start, weak=False)
    signals.worker_process_shutdown.connect(write, weak=False)
