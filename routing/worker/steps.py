"""Steps of a worker's start and stop that Celery's own leave out."""

import ctypes
import os
import signal
import sys
from typing import Any

from celery import Celery, bootsteps, signals

from routing.worker import hands, paused

PR_SET_PDEATHSIG = 1

_main = 0
_nice = 0


def install(app: Celery) -> None:
    """Give the workers of this application a heart, and tie their children to them."""
    app.steps["worker"].add(HeartStep)
    signals.worker_process_init.connect(begin_child, weak=False, dispatch_uid="routing.worker.steps")


class HeartStep(bootsteps.StartStopStep):
    """First to start, so before the pool forks; and so last to stop, after the pool's children have ended."""

    label = "heart"

    def include(self, parent: Any) -> bool:
        # Not above: the application exists before Django's models can be imported.
        from routing.worker.heart import Heart
        from routing.worker.stopping import STOP

        self.obj = Heart(parent)
        self._stop = STOP
        STOP.watch(parent)
        # Celery's pool names what it requires, and that cannot be us.
        parent.steps.insert(0, self)
        return True

    def start(self, parent: Any) -> None:
        global _main
        _main = os.getpid()
        hands.open_page()
        paused.open_page()
        self._stop.limit()
        self.obj.start()

    def close(self, parent: Any) -> None:
        self.obj.close()


def be_nice(to: int) -> None:
    """Of the children that this process will fork. Itself it has to beat in time, and to record what they cannot."""
    global _nice
    _nice = to


def begin_child(**_: Any) -> None:
    tie_to_main()
    hands.take_place()
    if _nice > 0:
        os.nice(_nice)


def tie_to_main() -> None:
    """A child ends with its worker's main process, at once: whoever declares that one dead runs its tasks elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have died between the fork and that call.
    if _main and os.getppid() != _main:
        os.kill(os.getpid(), signal.SIGKILL)
