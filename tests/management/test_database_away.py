"""Commands that meet a database which is away say so in one sentence with the cure."""

import subprocess
import sys

import pytest

from tests.workers import ROOT, environment

NOBODY_LISTENS = {"DATABASE_URL": "postgresql://taskyard@127.0.0.1:1/taskyard"}


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("dead_letters list", 1),
        ("dead_letters replay --all --yes", 1),
        ("cancel --all --yes", 1),
        ("queues", 1),
        ("redrive --all", 1),
        ("topology plan", 1),
        ("audit", 2),
    ],
)
def test_it_is_told_in_a_sentence(command: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command.split()],
        cwd=ROOT,
        env={**environment(), **NOBODY_LISTENS},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == status
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.removeprefix("CommandError: ").startswith("The database cannot be ")
    assert "Connection refused. " in f"{sentence} "
