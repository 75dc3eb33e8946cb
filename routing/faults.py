"""Places where a test may have the process die, as by a power cut, or have something else happen to it."""

import os
import signal
from contextlib import suppress
from importlib import import_module

_name, _, _count = os.environ.get("TASKYARD_FAULT", "").partition(":")
_passes_left = int(_count or 1)
_flag = os.environ.get("TASKYARD_FAULT_FLAG", "")
_call = os.environ.get("TASKYARD_FAULT_CALL", "")


def point(name: str) -> None:
    """Nothing, unless ``TASKYARD_FAULT=name`` or ``name:N`` is set: then the N-th pass is this process's last.

    With ``TASKYARD_FAULT_FLAG``, a file's path, only the first process to get there dies. With ``TASKYARD_FAULT_CALL``,
    a module and a function of it, that is called in place of dying.
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
        _strike()


def _strike() -> None:
    if _call:
        module, _, function = _call.rpartition(".")
        getattr(import_module(module), function)()
    else:
        os.kill(os.getpid(), signal.SIGKILL)
