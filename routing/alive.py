"""Whether a long-running process of this machine lives, told by the small file it touches after each beat.

Supervisors ask every few seconds, so this imports neither Django nor much of the standard library: pathlib alone, with
what it imports, would double the cost.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

LATE_AFTER = 30.0
"""Seconds; a process beats every three, also while the database is away: that is no reason to restart it."""
FORGET_AFTER = 24 * 3600.0
ROLES = ("beat", "relay", "worker")
ALIVE, NOT_ALIVE, WRONG_USE = 0, 1, 2
USAGE = f"usage: manage.py alive {{{','.join(ROLES)}}} [--name NAME]"


class Sign:
    """A process's own file. Nothing here raises OSError: a full disk must not stop a heart."""

    def __init__(self, folder: "str | os.PathLike[str]", role: str, name: str) -> None:
        self._folder, self._role, self._name = os.fspath(folder), role, name
        self._path = os.path.join(self._folder, f"{role}.{os.uname().nodename}.{os.getpid()}")

    def touch(self) -> None:
        try:
            if os.path.exists(self._path):
                os.utime(self._path)
            else:
                os.makedirs(self._folder, exist_ok=True)
                self._forget_the_dead()
                with open(self._path, "w", encoding="utf-8") as file:
                    file.write(self._name)
        except OSError as error:
            sys.stderr.write(f"Cannot write {self._path}: {error.strerror}. The probe will take this for dead.\n")

    def remove(self) -> None:
        try:
            os.unlink(self._path)
        except OSError:
            return

    def _forget_the_dead(self) -> None:
        for path in _paths(self._folder, f"{self._role}."):
            host, pid = _whose(path)
            is_old = time.time() - os.stat(path).st_mtime > FORGET_AFTER
            if is_old or (host == os.uname().nodename and not _lives(pid)):
                os.unlink(path)


def main(arguments: Sequence[str], folder: "str | os.PathLike[str]") -> int:
    """The exit status of ``manage.py alive ROLE [--name NAME]``: 0 alive, 1 not, 2 asked wrongly."""
    role, name = (arguments[0] if arguments else ""), _name_of(arguments[1:])
    if role not in ROLES or name is None:
        sys.stderr.write(f"{USAGE}\n")
        return WRONG_USE
    if why := complaint(folder, role, name):
        sys.stderr.write(f"{why}\n")
        return NOT_ALIVE
    return ALIVE


def complaint(folder: "str | os.PathLike[str]", role: str, name: str = "") -> str:
    """Why no such process of this machine is alive, in a sentence; empty if one is."""
    what = f"{role} {name}" if name else role
    latest = ""
    for path in _files(folder, role, name):
        _, pid = _whose(path)
        age = time.time() - os.stat(path).st_mtime
        if not _lives(pid):
            latest = f"The {what} (process {pid}) has died."
        elif age > LATE_AFTER:
            latest = (
                f"The {what} (process {pid}) gave its last sign of life {age:.0f} s ago; see its log, or restart it."
            )
        else:
            return ""
    return latest or f"No {what} has run here: {folder} holds no sign of one. TASKYARD_VAR must be the same as its own."


def folder_of(environment: Mapping[str, str], base: str) -> str:
    """As project/settings.py has it."""
    return os.path.join(environment.get("TASKYARD_VAR") or os.path.join(base, "var"), "alive")


def _name_of(rest: Sequence[str]) -> str | None:
    """Empty where none is asked for, None where the question makes no sense."""
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--name=") else [word])]
    if not words:
        return ""
    return words[1] if len(words) == 2 and words[0] == "--name" and words[1] else None


def _files(folder: "str | os.PathLike[str]", role: str, name: str) -> Iterator[str]:
    """Of this machine; a worker is also known by the part of its name before the @."""
    for path in _paths(folder, f"{role}.{os.uname().nodename}."):
        try:
            with open(path, encoding="utf-8") as file:
                own = file.read()
        except OSError:
            continue
        if not name or name in (own, own.partition("@")[0]):
            yield path


def _paths(folder: "str | os.PathLike[str]", beginning: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [os.path.join(folder, name) for name in sorted(names) if name.startswith(beginning)]


def _whose(path: str) -> tuple[str, int]:
    _, _, rest = os.path.basename(path).partition(".")
    host, _, pid = rest.rpartition(".")
    return host, int(pid) if pid.isdigit() else 0


def _lives(pid: int) -> bool:
    """A zombie does not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return b") Z " not in file.read()
    except OSError:
        return not os.path.exists("/proc/self")
