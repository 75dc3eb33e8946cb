"""A mailing whose process is killed: called again, it goes on, and nobody is left out or written to twice."""

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notifications.storing import BATCH
from notifications.tables import Delivery, Notification
from routing.ledger.tables import Message, Outbox, Tally
from tests.waiting import until
from tests.workers import Process

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 3 * BATCH + 7


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start ``manage.py notify`` over the same file."""
    file = tmp_path / "list.csv"
    file.write_text("email,name\n" + "".join(f"r{number}@example.org,R{number}\n" for number in range(ROWS)))
    (tmp_path / "hello.txt").write_text("Hi {{ name }}\n")
    started: list[Process] = []

    def run(*options: str, **variables: str) -> Process:
        command = [sys.executable, "manage.py", "notify", f"--csv={file}", f"--template={tmp_path / 'hello.txt'}"]
        command += ["--subject=Hello {{ name }}", "--lane=bulk", "--category=news", *options]
        started.append(Process(command, tmp_path / f"notify.{len(started)}.log", **variables))
        return started[-1]

    yield run
    for process in started:
        process.kill()


def finish(process: Process) -> str:
    """All it said; fails unless everything was sent."""
    status = process.popen.wait(120)
    said = process.log.read_text()
    assert status == 0, said
    return said


def require_each_once() -> None:
    notification = Notification.objects.get()
    assert (notification.recipients, notification.consumed, notification.is_complete) == (ROWS, ROWS, True)
    rows = Delivery.objects.order_by("position").values_list("position", "address_key", "task_id")
    assert [row[:2] for row in rows] == [(number, f"r{number}@example.org") for number in range(ROWS)]
    assert set(Message.objects.values_list("pk", flat=True)) == {row[2] for row in rows}
    assert Outbox.objects.count() == ROWS
    assert sum(Tally.objects.values_list("accepted", flat=True)) == ROWS


@pytest.mark.parametrize("fault", ["many.written:1", "many.written:3", "many.committed:2", "many.committed:4"])
def test_a_death_at_any_point_is_gone_on_with(start: Callable[..., Process], fault: str) -> None:
    dead = start(fault=fault)
    assert dead.popen.wait(120) == -9, dead.log.read_text()
    assert not Notification.objects.filter(is_complete=True).exists()

    assert f"Sent {ROWS:,}, refused 0." in finish(start())

    require_each_once()


def test_a_kill_at_random_is_gone_on_with(start: Callable[..., Process]) -> None:
    wanted = random.randrange(1, ROWS)  # noqa: S311
    dying = start()
    until(lambda: Delivery.objects.count() >= wanted or dying.is_dead, seconds=120, every=0.001)
    dying.kill()

    finish(start())

    require_each_once()


def test_two_commands_at_once_send_each_row_once(start: Callable[..., Process]) -> None:
    first, second = start(), start()

    finish(first)
    finish(second)

    require_each_once()
