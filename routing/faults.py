"""Places where a test may have the process die, as by a power cut."""

import os
import signal
from contextlib import suppress

_name, _, _count = os.environ.get("TASKYARD_FAULT", "").partition(":")
_passes_left = int(_count or 1)
_flag = os.environ.get("TASKYARD_FAULT_FLAG", "")


def point(name: str) -> None:
    """Nothing, unless ``TASKYARD_FAULT=name`` or ``name:N`` is set: then the N-th pass is this process's last.

    With ``TASKYARD_FAULT_FLAG``, a file's path, only the first process to get there dies.
    """
    global _passes_left
    if name != _name:
        return
    _passes_left -= 1
    if _passes_left > 0:
        return
    with suppress(FileExistsError):
        if _flag:
            os.close(os.open(_flag, os.O_CREAT | os.O_EXCL))
        os.kill(os.getpid(), signal.SIGKILL)
