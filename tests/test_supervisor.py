"""Programs that run, die and stop under the supervisor: real processes all of them."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from project.console import Console
from project.supervisor import Program, Stage, Supervisor
from tests.waiting import until

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parent.parent
SOON = timedelta(seconds=0.2)
FOREVER = "while :; do sleep 0.05; done"


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(tmp_path: Path, screen: io.StringIO) -> Iterator[Console]:
    with closing(Console(tmp_path / "log", stream=screen)) as console:
        yield console


@pytest.fixture
def supervisor(console: Console) -> Iterator[Supervisor]:
    with Supervisor(console) as supervisor:
        yield supervisor


def shell(script: str, *, name: str = "one", stage: Stage = Stage.WORK, grace: timedelta = timedelta(5)) -> Program:
    return Program(name=name, command=["sh", "-c", script], stage=stage, farewell=((signal.SIGTERM, grace),))


def test_a_programs_lines_stand_behind_its_name(supervisor: Supervisor, console: Console, screen: io.StringIO) -> None:
    console.reserve(["one", "another"])
    supervisor.start(shell(f"echo out; echo error >&2; {FOREVER}"))

    until(lambda: "error" in screen.getvalue())
    assert screen.getvalue().splitlines() == ["one     │ out", "one     │ error"]


def test_a_programs_log_is_kept_without_colours(supervisor: Supervisor, console: Console) -> None:
    supervisor.start(shell(f"printf '\\033[31mred\\033[0m\\n'; {FOREVER}"))

    until(lambda: console.last_line("one") == "red")


def test_a_program_that_dies_is_started_again_after_a_growing_pause(
    supervisor: Supervisor, screen: io.StringIO
) -> None:
    supervisor.start(shell("exit 3"))

    until(lambda: "ended by itself (exit status 3); it starts again in 2 s" in screen.getvalue())
    assert "exit status 3); it starts again in 1 s" in screen.getvalue()
    assert supervisor.deaths("one") == 2


def test_a_program_that_cannot_be_found_says_so(supervisor: Supervisor, screen: io.StringIO) -> None:
    supervisor.start(Program(name="one", command=["/no/such/program"], stage=Stage.WORK))

    until(lambda: "starts again" in screen.getvalue())
    assert "/no/such/program" in screen.getvalue()


def test_a_program_whose_file_is_deleted_is_told_and_begins_anew(
    supervisor: Supervisor, screen: io.StringIO, tmp_path: Path
) -> None:
    own, starts = tmp_path / "own" / "file", list[int]()

    def prepare() -> None:
        starts.append(1)
        own.parent.mkdir(exist_ok=True)
        own.touch()

    program = replace(shell(FOREVER), prepare=prepare, needs=own, output=own.with_name("log"))
    supervisor.start(program)
    first = until(lambda: supervisor.pid("one"), what="its start")

    shutil.rmtree(own.parent)

    until(lambda: supervisor.pid("one") not in (None, first), what="another start")
    assert len(starts) == 2
    assert f"{own} was deleted while one ran; it begins anew" in screen.getvalue()
    assert screen.getvalue().count("was deleted") == 1


def test_a_program_that_cannot_be_prepared_says_so_and_is_tried_again(
    supervisor: Supervisor, screen: io.StringIO, tmp_path: Path
) -> None:
    folder = tmp_path / "taken"
    folder.touch()
    program = replace(shell(FOREVER), prepare=lambda: folder.mkdir(exist_ok=True), output=folder / "log")
    supervisor.start(program)
    until(lambda: "it starts again" in screen.getvalue(), what="its end")
    assert "one cannot be prepared: [Errno 17] File exists" in screen.getvalue()
    before = supervisor.deaths("one")

    folder.unlink()

    until(lambda: supervisor.pid("one") and (folder / "log").exists(), what="a start that works")
    assert before >= 1


def test_what_a_killed_program_had_started_ends_with_it(supervisor: Supervisor, screen: io.StringIO) -> None:
    # The child holds the output open, which alone would keep the program's death unnoticed.
    supervisor.start(shell(f"({FOREVER}) & echo child $!; {FOREVER}"))
    until(lambda: "child" in screen.getvalue())
    child = int(screen.getvalue().split()[-1])
    main = supervisor.pid("one")
    assert main is not None

    os.kill(main, signal.SIGKILL)

    until(lambda: "was ended by SIGKILL" in screen.getvalue())
    until(lambda: not lives(child))


def test_the_entrance_stops_first_and_the_foundation_last(supervisor: Supervisor, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    for stage in reversed(Stage):
        script = f"trap 'sleep 0.2; echo {stage.name} >>{journal}; exit' TERM; echo up >>{journal}; {FOREVER}"
        supervisor.start(shell(script, name=stage.name, stage=stage))
    until(lambda: journal.exists() and len(journal.read_text().split()) == len(Stage))

    supervisor.stop()

    assert journal.read_text().split()[len(Stage) :] == [stage.name for stage in Stage]


def test_what_ignores_its_farewell_is_killed(supervisor: Supervisor) -> None:
    supervisor.start(shell(f"trap '' TERM; {FOREVER}", grace=SOON))
    pid = until(lambda: supervisor.pid("one"))

    supervisor.stop()

    assert not lives(pid)


def test_haste_does_not_wait_for_the_grace(supervisor: Supervisor) -> None:
    supervisor.start(shell(f"trap '' TERM; {FOREVER}", grace=timedelta(minutes=10)))
    pid = until(lambda: supervisor.pid("one"))
    supervisor.hurry.set()
    began = time.monotonic()

    supervisor.stop()

    assert not lives(pid)
    assert time.monotonic() - began < 30


def test_nothing_is_started_again_while_stopping(supervisor: Supervisor, screen: io.StringIO) -> None:
    supervisor.start(shell(FOREVER))
    until(lambda: supervisor.pid("one"))

    supervisor.stop()

    assert "starts again" not in screen.getvalue()
    assert supervisor.pid("one") is None


def test_programs_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    script = f"""
import pathlib, threading
from project.console import Console
from project.supervisor import Program, Stage, Supervisor
with Supervisor(Console(pathlib.Path({str(tmp_path)!r}))) as supervisor:
    supervisor.start(Program(name="one", command=["sh", "-c", "echo $$; exec sleep 600"], stage=Stage.WORK))
    threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[-1])
        parent.kill()

    until(lambda: not lives(pid))


def test_a_terminal_that_went_away_silences_the_console_alone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as gone, closing(Console(tmp_path, stream=gone)) as console:
        console.line("one", b"first")
        console.line("one", b"second")

    assert (tmp_path / "one.log").read_text().split() == ["first", "second"]


def lives(pid: int) -> bool:
    """A zombie does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
