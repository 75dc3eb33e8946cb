"""However many there are to be written to, the memory stays: what is measured is a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from notifications import recipients
from tests.workers import ROOT, environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.one_database]
MOST = 30_000
"""Kilobytes."""


@pytest.mark.parametrize("kind", ["values", "queryset"])
def test_storing_many_takes_no_more_memory_than_storing_few(kind: str) -> None:
    command = [sys.executable, "-m", "benchmarks.notifications.storing", "20000", kind]

    done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)

    assert json.loads(done.stdout)["grew_kb"] < MOST


def test_a_file_of_a_million_rows_is_read_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    with file.open("w") as lines:
        lines.write("email,name\n")
        lines.writelines(f"r{number}@example.org,Ann {number}\n" for number in range(1_000_000))
    measure = (
        "import sys; from pathlib import Path; from benchmarks.cleaning import memory; "
        "from notifications import recipients; before = memory.most(); rows = recipients.read(Path(sys.argv[1])); "
        "print(sum(1 for _ in rows), memory.most() - before)"
    )

    done = subprocess.run(
        [sys.executable, "-c", measure, str(file)], cwd=ROOT, env=environment(), check=True, capture_output=True
    )

    count, grew = map(int, done.stdout.split())
    assert (count, grew < MOST) == (1_000_000, True)
    assert recipients.read(file).lines == 1_000_001
