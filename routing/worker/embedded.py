"""A relay that a worker keeps while no other one beats, so that a worker alone is a working system."""

import logging
import shutil
import subprocess
import sys
import time

from django.conf import settings

from routing.ledger import processes
from routing.ledger.tables import Process

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
STOPPED_WITHIN = 8.0


class EmbeddedRelay:
    """A program of its own, which ends with the worker. Where workers race, the relays settle which of them stays."""

    def __init__(self) -> None:
        self._program: subprocess.Popen[bytes] | None = None
        self._pause = 3.0
        self._not_before = 0.0

    def is_wanted(self) -> bool:
        """Whether no relay beats, and ours does not run. Asks the database."""
        if self._is_running() or time.monotonic() < self._not_before:
            return False
        return not processes.beating(Process.Role.RELAY).exists()

    def start(self) -> None:
        logger.info("No relay beats, so this worker runs one. To run one of its own: manage.py relay")
        # The signal comes when the thread that started it ends, and this one lives as long as the worker.
        guard = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        command = [*guard, sys.executable, str(settings.BASE_DIR / "manage.py"), "relay", "--embedded"]
        self._program = subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL)
        # One that cannot stay is not started again with every beat.
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def stop(self) -> None:
        """Safe to call again."""
        if self._program is None:
            return
        self._program.terminate()
        try:
            self._program.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
        self._program = None

    def _is_running(self) -> bool:
        if self._program is None:
            return False
        if self._program.poll() is None:
            if time.monotonic() > self._not_before + LONGEST_PAUSE:
                self._pause = 3.0
            return True
        self._program = None
        return False
