"""A fault: the process stands still at that point, until it is told to go on."""

import os
import signal


def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
