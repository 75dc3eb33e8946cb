"""What a worker has in hand: which step of which task each of its processes is at, told to their main process.

A child writes its step to a page of shared memory, which outlives it. So the main process can tell a body that took too
long, or killed its process, from a claim or a settlement that waited for the database: those are not the task's fault.
"""

import os
import signal
import threading
import zlib
from enum import IntEnum
from mmap import mmap
from pathlib import Path

PLACES = 16_384
"""By process id, modulo; where two children should ever share one, nothing is known of the older."""
_PID, _TASK = 4, 4
_PLACE = _PID + _TASK + 1
SOFT_LIMIT = signal.SIGUSR1


class Step(IntEnum):
    IDLE = 0
    CLAIMING = 1
    RUNNING = 2
    """The task's own body."""
    ENDING = 3


_page: mmap | None = None
_step_at: int | None = None
"""Where a child of the pool writes its step; None in other processes."""
_running: set[str] = set()
_turn = threading.Lock()


def open_page() -> None:
    """For the main process, before it forks."""
    global _page
    _page = mmap(-1, PLACES * _PLACE)


def take_place() -> None:
    """For a child of the pool, when it starts."""
    global _step_at, _turn
    _running.clear()
    _turn = threading.Lock()
    if _page is not None:
        at = _place(os.getpid())
        _page[at : at + _PLACE] = os.getpid().to_bytes(_PID, "little") + bytes(_TASK) + bytes([Step.IDLE])
        _step_at = at + _PID + _TASK
        # A soft time limit is for the body: it would tear a claim's connection apart.
        _hold_soft_limit()


def begin(task_id: str) -> bool:
    """A message has come to this process. False if the process is at work on that very task already."""
    with _turn:
        if task_id in _running:
            return False
        _running.add(task_id)
    if _step_at is not None and _page is not None:
        _page[_step_at - _TASK : _step_at] = _mark(task_id)
        if is_late():
            # It came too late for the body of the task before.
            signal.sigtimedwait({SOFT_LIMIT}, 0)
    _enter(Step.CLAIMING)
    return True


class Body:
    """The task's own code, which its limits are for."""

    def __enter__(self) -> None:
        _enter(Step.RUNNING)
        if _step_at is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {SOFT_LIMIT})

    def __exit__(self, *_: object) -> None:
        close_body()


class Recording:
    """Within a body: what it has to write down, however long the database is away. Its limits do not count that."""

    def __enter__(self) -> None:
        close_body()

    def __exit__(self, *_: object) -> None:
        Body().__enter__()


def close_body() -> None:
    """All that is left to do is to write down how it ended, which limits are not for."""
    _hold_soft_limit()
    _enter(Step.ENDING)


def is_late() -> bool:
    """Whether the soft limit has passed before the body could begin."""
    return _step_at is not None and SOFT_LIMIT in signal.sigpending()


def end(task_id: str) -> None:
    """This process is done with the task."""
    _running.discard(task_id)
    _enter(Step.IDLE)


def step_of(pid: int | None) -> Step | None:
    """What that child of this worker is doing, or was when it ended; None where that is not known."""
    if _page is None or not pid:
        return None
    at = _place(pid)
    return Step(_page[at + _PID + _TASK]) if _page[at : at + _PID] == pid.to_bytes(_PID, "little") else None


def holds(task_id: str, pid: int | None) -> bool:
    """Whether this process, or that child of it, may be at work on the task."""
    if pid == os.getpid():
        return task_id in _running
    if not _lives(pid):
        return False
    step = step_of(pid)
    return step is None or (step is not Step.IDLE and _task_of(pid) == _mark(task_id))


def _task_of(pid: int | None) -> bytes:
    at = _place(pid or 0) + _PID
    return _page[at : at + _TASK] if _page is not None else b""


def _mark(task_id: str) -> bytes:
    """Enough to tell one task from the next."""
    return zlib.crc32(task_id.encode(errors="surrogatepass")).to_bytes(_TASK, "little")


def _enter(step: Step) -> None:
    if _step_at is not None and _page is not None:
        # One byte, so that nobody reads half a change.
        _page[_step_at] = step


def _hold_soft_limit() -> None:
    if _step_at is not None and threading.current_thread() is threading.main_thread():
        signal.pthread_sigmask(signal.SIG_BLOCK, {SOFT_LIMIT})


def _place(pid: int) -> int:
    return pid % PLACES * _PLACE


def _lives(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return bool(pid) and not _has_ended(pid)


def _has_ended(pid: int | None) -> bool:
    """Whether all that is left of it is what its parent has not asked for yet."""
    try:
        # The name, in brackets, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
