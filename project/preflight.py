"""What has to be true of this machine before anything starts: room, rights, ports, and nobody here before us."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from project import bootstrap
from project.services.errors import ServiceError


def require_room(folder: Path) -> None:
    """Raises ServiceError if the disk is nearly full."""
    try:
        bootstrap.require_room(folder)
    except bootstrap.BootstrapError as error:
        raise ServiceError(str(error)) from None


def require_rights(folder: Path, *names: str) -> None:
    """Raises ServiceError if we may not write here, or to what a start by another user has left here."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *(folder / name for name in names)):
        needed = os.W_OK | os.X_OK if path.is_dir() else os.W_OK
        if path.exists() and not os.access(path, needed):
            raise ServiceError(
                f"{path} belongs to {_owner(path)}, and you may not write to it. Start as that user, hand it over "
                f"(chown -R {_owner(folder)} {folder}), or use another folder: TASKYARD_VAR=/path make up"
            )


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises ServiceError if another start holds it."""
    path = folder / "run" / "up.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise ServiceError(
                f"Taskyard runs here already, as process {holder}. Stop that one with Ctrl-C, "
                "or start another beside it: TASKYARD_VAR=/path PORT=8001 BROKER_PORT=5691 make up"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        # Not removed: whoever waits for this file's lock would hold one that nobody else sees.
        file.truncate(0)


def sentence(error: OSError, folder: Path) -> str:
    """What to say when the system refuses a file."""
    return (
        f"{error.filename or folder}: {error.strerror}. This user has to be able to write to {folder}, where the "
        "project keeps its files; name another folder with TASKYARD_VAR=/path, or correct its owner and room."
    )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"
