"""Gets what the project needs onto this machine: the virtual environment, locked dependencies, Debian packages.

It runs before anything is installed, so it is a script of the standard library alone:

    python3 -I project/bootstrap.py venv .venv requirements.lock
    python3 -I project/bootstrap.py packages rabbitmq-server
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OLDEST, NEWEST = (3, 11), (3, 13)
ROOM = 500_000_000
"""Bytes that have to be free before anything is installed or started."""

# One shell, so that sudo asks for a password once and the tidying-up happens whatever becomes of us.
INSTALL = r"""
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ] || grep -qs 'taskyard-bootstrap' "$policy"; then
    trap 'rm -f "$policy"' EXIT
    # It refuses to start services, and only for as long as this shell lives.
    printf '#!/bin/sh\n# taskyard-bootstrap\nkill -0 %s 2>/dev/null && exit 101\nexit 0\n' "$$" > "$policy"
    chmod 755 "$policy"
fi
apt_install() {
    apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confold "$@"
}
install() {
    # The lists of packages may be absent, or older than the archive.
    apt_install "$@" || { apt-get update --quiet && apt_install "$@"; }
}
case " $* " in *" postgresql"*)
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        install postgresql-common
        sed -i -E 's/^#?[[:space:]]*(create_main_cluster)[[:space:]]*=.*/\1 = false/' \
            /etc/postgresql-common/createcluster.conf
    fi
esac
install "$@"
case " $* " in *" rabbitmq-server "*)
    # Nor shall the machine's next boot start it: the project runs a node of its own.
    rm -f /etc/systemd/system/*.wants/rabbitmq-server.service /etc/systemd/system/*.wants/epmd.*
    update-rc.d rabbitmq-server disable > /dev/null 2>&1 || true
esac
"""


class BootstrapError(Exception):
    """Something is missing and cannot be had; the message tells the cure."""


def make_environment(folder: Path, lock: Path) -> None:
    """A virtual environment that holds just what the lock names. Safe to call again. Raises BootstrapError."""
    stamp = folder / f"{lock.stem}.stamp"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    works = _works(folder)
    if works and stamp.exists() and stamp.read_text() == wanted:
        stamp.touch()
        return
    require_room(folder.parent)
    if not works:
        _create(folder)
    _install_dependencies(folder, lock)
    stamp.write_text(wanted)


def install_packages(names: Sequence[str]) -> None:
    """Install Debian packages, without starting their services. Safe to call again. Raises BootstrapError."""
    missing = [name for name in names if not is_installed(name)]
    if not missing:
        return
    command = [*_as_root(missing), "sh", "-c", INSTALL, "sh", *missing]
    with step(f"Installing {', '.join(missing)} (Debian's)"), _no_interruption():
        done = _run(command)
    if done.returncode:
        raise BootstrapError(
            f"{' and '.join(missing)} could not be installed; apt-get said:\n{_last_lines(done.stdout)}\n"
            f"Put that right, then try: {by_hand(missing)}"
        )


def is_installed(package: str) -> bool:
    """False on a system that is not Debian's."""
    if shutil.which("dpkg-query") is None:
        return False
    done = _run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package])
    return done.returncode == 0 and done.stdout.strip() == "installed"


def by_hand(packages: Sequence[str]) -> str:
    return f"apt-get update && apt-get install {' '.join(packages)}"


def require_room(folder: Path) -> None:
    """Raises BootstrapError if the disk is nearly full."""
    free = shutil.disk_usage(_existing(folder)).free
    if free < ROOM:
        raise BootstrapError(
            f"Only {free / 1e6:.0f} MB are free on the disk of {folder}, and {ROOM / 1e6:.0f} MB are needed. "
            "Free some, or use a folder on another disk (TASKYARD_VAR for data, VENV for the virtual environment)."
        )


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took where that was noticeable."""
    started = time.monotonic()
    sys.stdout.write(f"  {what} … ")
    sys.stdout.flush()
    done = False
    try:
        yield
        done = True
    finally:
        seconds = time.monotonic() - started
        took = f" {seconds:.0f} s" if seconds >= 1 else ""
        sys.stdout.write(f"{'done' if done else 'failed'}{took}\n")
        sys.stdout.flush()


def _works(folder: Path) -> bool:
    """An environment half made, or of a Python since removed or replaced, is none."""
    python = folder / "bin" / "python"
    if not (folder / "pyvenv.cfg").exists() or not python.exists():
        return False
    probe = f"import pip, sys; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    return _run([str(python), "-I", "-c", probe]).returncode == 0


def _create(folder: Path) -> None:
    _check_python()
    if folder.exists() and not (folder / "pyvenv.cfg").exists() and any(folder.iterdir()):
        raise BootstrapError(f"{folder} is no virtual environment; name another folder: make up VENV=/path")
    if importlib.util.find_spec("ensurepip") is None:
        # Debian keeps this part of Python in a package of its own.
        install_packages([f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"])
    with step(f"Making the virtual environment {folder}"):
        done = _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if done.returncode:
        # What is left of it looks like an environment and is none.
        shutil.rmtree(folder, ignore_errors=True)
        raise BootstrapError(
            f"The virtual environment could not be made; Python said:\n{_last_lines(done.stdout)}\n"
            "Put that right, or name a folder that you may write to: make up VENV=/path"
        )


def _install_dependencies(folder: Path, lock: Path) -> None:
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes"]
    with step(f"Installing the dependencies of {lock.name}"):
        done = _run([*command, "--disable-pip-version-check", "--requirement", str(lock)], PIP_USER="0")
    if done.returncode:
        raise BootstrapError(
            f"The dependencies could not be installed; pip said:\n{_last_lines(done.stdout)}\n"
            "See whether this machine reaches a package index and has room on its disk, then try again."
        )


def _check_python() -> None:
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        raise BootstrapError(
            f"{sys.executable} is Python {_dotted(version)}, and the project runs on {_dotted(OLDEST)} to "
            f"{_dotted(NEWEST)}. Name one of these: make up PYTHON=/usr/bin/python{_dotted(OLDEST)}"
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _as_root(packages: Sequence[str]) -> list[str]:
    """The words before a command that make it run as root."""
    if shutil.which("apt-get") is None:
        raise BootstrapError(
            f"{' and '.join(packages)} is missing and this system has no apt-get. Install what goes by that name here."
        )
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise BootstrapError(f"{' and '.join(packages)} is missing. Install it as root: {by_hand(packages)}")
    return ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]


@contextmanager
def _no_interruption() -> Iterator[None]:
    """dpkg must not be stopped half-way: the machine would be left with packages half installed."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, disposition in before.items():
            signal.signal(number, disposition)


def _run(command: Sequence[str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def _last_lines(text: str, count: int = 6) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    venv = commands.add_parser("venv", help="make the virtual environment and install a lock file into it")
    venv.add_argument("folder", type=Path)
    venv.add_argument("lock", type=Path)
    packages = commands.add_parser("packages", help="install Debian packages without starting their services")
    packages.add_argument("names", nargs="+")
    packages.add_argument("--optional", action="store_true", help="say what is missing and go on")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    try:
        if arguments.command == "venv":
            make_environment(arguments.folder, arguments.lock)
        else:
            install_packages(arguments.names)
    except BootstrapError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(0 if getattr(arguments, "optional", False) else 1)
    except OSError as error:
        sys.exit(f"{error.strerror}: {error.filename}. Use a folder that you may write to: make up VENV=/path")
    except KeyboardInterrupt:
        sys.exit("Stopped. Run the same command again to go on.")


if __name__ == "__main__":
    main()
