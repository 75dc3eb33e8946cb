"""``manage.py alive``: the probe for supervisors."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from routing import alive
from tests.workers import ROOT


@pytest.fixture
def sign(tmp_path: Path) -> alive.Sign:
    return alive.Sign(tmp_path / "alive", "worker", "reporting@here")


def ask(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and what it says."""
    done = subprocess.run(
        [sys.executable, "manage.py", "alive", *arguments],
        cwd=ROOT,
        env={**os.environ, "TASKYARD_VAR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def the_file(folder: Path) -> Path:
    (path,) = (folder / "alive").iterdir()
    return path


def test_who_has_just_beaten_is_alive(tmp_path: Path, sign: alive.Sign) -> None:
    sign.touch()

    assert ask(tmp_path, "worker") == (0, "")
    assert ask(tmp_path, "worker", "--name", "reporting@here") == (0, "")
    assert ask(tmp_path, "worker", "--name=reporting") == (0, "")


def test_another_role_or_name_is_not(tmp_path: Path, sign: alive.Sign) -> None:
    sign.touch()

    status, said = ask(tmp_path, "relay")
    assert status == 1
    assert said.startswith("No relay has run here:")
    assert said.count("\n") == 1
    assert ask(tmp_path, "worker", "--name", "notifications")[0] == 1


def test_who_fell_silent_is_not_and_it_says_for_how_long(tmp_path: Path, sign: alive.Sign) -> None:
    sign.touch()
    before = time.time() - 95
    os.utime(the_file(tmp_path), (before, before))

    status, said = ask(tmp_path, "worker")

    assert status == 1
    assert re.search(rf"The worker \(process {os.getpid()}\) gave its last sign of life \d{{2,3}} s ago", said)
    sign.touch()
    assert ask(tmp_path, "worker")[0] == 0


def test_who_died_is_not_however_late_it_beat(tmp_path: Path, sign: alive.Sign) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    sign.touch()
    path = the_file(tmp_path)
    path.rename(path.with_name(path.name.replace(str(os.getpid()), str(ended.pid))))

    assert ask(tmp_path, "worker") == (1, f"The worker (process {ended.pid}) has died.\n")

    sign.touch()
    assert the_file(tmp_path) == path, "its successor cleans up"


def test_who_left_is_not(tmp_path: Path, sign: alive.Sign) -> None:
    sign.touch()

    sign.remove()
    sign.remove()

    assert ask(tmp_path, "worker")[0] == 1


@pytest.mark.parametrize("arguments", [(), ("web",), ("worker", "--name"), ("worker", "one", "two")])
def test_a_question_that_makes_no_sense_is_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, said = ask(tmp_path, *arguments)

    assert status == 2
    assert said.startswith("usage: manage.py alive")


def test_it_loads_next_to_nothing() -> None:
    """What it costs is what it imports; ``python -m benchmarks.alive`` measures that."""
    script = "import sys; before = set(sys.modules); import routing.alive; print(*set(sys.modules) - before)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert {"routing", "routing.alive"} <= set(loaded)
    assert len(loaded) < 20
    assert not {"django", "celery", "pathlib", "re"} & set(loaded)


def test_help_lists_it() -> None:
    command = [sys.executable, "manage.py", "help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "    alive\n" in said
