"""A pool whose event loop loses its readers, or whose child dies, in the middle of a child's message."""

import gc
import os
import pickle
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from billiard.pool import MaybeEncodingError
from billiard.reduction import ForkingPickler
from celery import current_app, shared_task
from celery.exceptions import Ignore
from django_celery_results.models import TaskResult
from kombu import Connection
from kombu.asynchronous import Hub

from project.services.rabbitmq import Node
from routing.worker.prefork import AsynPool
from tests import probe
from tests.waiting import until
from tests.workers import StartWorker

pytestmark = pytest.mark.any_database

NEWS = 99
"""A kind of message that only these tests write and read."""


class Pool(AsynPool):
    timers = {}
    """Nothing is put right by looking at it every five seconds."""


class Running:
    """A pool of one child, its event loop, and the news that came through the child's pipe."""

    def __init__(self) -> None:
        self.loop = Hub()
        self.pool = _pool_of_one()
        self.news: list[bytes] = []
        self.pool._result_handler.state_handlers[NEWS] = self.news.append
        self.register()
        self.until_child_is_ready()

    @property
    def child(self) -> Any:
        return self.pool._pool[0]

    def register(self) -> None:
        self.pool.register_with_event_loop(self.loop)

    def lose_the_connection(self) -> None:
        """As Celery's event loop does: everything it keeps is dropped, and registered anew."""
        self.loop.reset()
        self.register()

    def until(self, condition: Callable[[], bool]) -> None:
        def turned() -> bool:
            # Not before the condition was looked at: a loop that has nothing to do waits for seconds.
            if not condition():
                self.loop.run_once()
            return condition()

        until(turned)

    def until_child_is_ready(self) -> None:
        self.until(lambda: bool(self.pool._pool) and self.child.inqW_fd in self.pool._fileno_to_inq)

    def until_read(self) -> None:
        """Let the loop read all that is in the child's pipe."""
        self.until(lambda: not self.child.outq._reader.poll())

    def write(self, data: bytes) -> None:
        """Into the child's pipe, in its stead."""
        os.write(self.child.outq._writer.fileno(), data)

    def kill_child(self) -> None:
        """Return when another one has taken its place."""
        killed = self.child
        os.kill(killed.pid, signal.SIGKILL)
        self.until(lambda: killed not in self.pool._pool)
        self.until_child_is_ready()

    def result_of(self, function: Callable[..., object], *args: object) -> Any:
        job = self.pool.apply_async(function, args)
        self.until(job.ready)
        return job.get()

    def busy_child(self, release: int) -> Any:
        """Return the job that the child works at until the pipe ``release`` is written to."""
        job = self.pool.apply_async(os.read, (release, 1))
        self.until(lambda: bool(job._accepted))
        return job


def _pool_of_one() -> Any:
    return Pool(1, threads=False, max_restarts=100)


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    for child in running.pool._pool:
        # Asked to end, it would take its time.
        if child.exitcode is None:
            os.kill(child.pid, signal.SIGKILL)
            child.join()
    running.pool.terminate()
    running.loop.close()


@pytest.fixture
def release() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; the children of a pool that is started after it inherit it."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def no_gaps() -> Iterator[None]:
    """What is opened after this gets numbers in order, and so the next pipe those of the last that was closed."""
    gc.collect()
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < highest:
        taken.append(os.open(os.devnull, os.O_RDONLY))
    yield
    for descriptor in taken:
        os.close(descriptor)


def message(news: bytes) -> bytes:
    body = pickle.dumps((NEWS, (news,)))
    return struct.pack(">i", len(body)) + body


def blob(size: int) -> bytes:
    return b"x" * size


FIRST, SECOND = message(b"first" * 1000), message(b"second")
IN_ITS_HEAD, BEHIND_ITS_HEAD, IN_ITS_BODY = 2, 4, 2000


# --- Giving a task to a child ---------------------------------------------------------------------------------------


def test_an_idle_child_is_given_its_task_without_a_turn_of_the_loop(running: Running) -> None:
    job = running.pool.apply_async(pow, (2, 5))

    assert job._write_to is running.child
    assert running.child.outq._reader.poll(10), "it answers"
    running.until(job.ready)
    assert job.get() == 32


def test_a_task_waits_for_a_busy_child_and_is_given_when_it_has_ended(
    release: tuple[int, int], running: Running
) -> None:
    first = running.busy_child(release[0])
    second = running.pool.apply_async(pow, (2, 5))
    third = running.pool.apply_async(pow, (2, 6))
    running.lose_the_connection()

    assert not any(job._write_to for job in (second, third))
    os.write(release[1], b"!")
    running.until(third.ready)

    assert [first.get(), second.get(), third.get()] == [b"!", 32, 64]


def test_the_loop_is_left_alone_while_nothing_waits(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery takes each child's pipe out of the loop at each of its turns, though it is not in it."""
    removed: list[int] = []
    monkeypatch.setattr(running.loop, "remove_writer", removed.append)
    running.register()

    running.pool.on_poll_start()

    assert removed == []


def test_a_result_that_only_billiards_own_pickler_knows_arrives(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(threading.Lock())
    pickler: Any = ForkingPickler
    monkeypatch.setitem(pickler._extra_reducers, kind, lambda _: (threading.Lock, ()))
    running.kill_child()

    assert isinstance(running.result_of(threading.Lock), kind)


def test_a_result_that_nothing_can_write_down_is_an_error_and_no_silence(running: Running) -> None:
    with pytest.raises(MaybeEncodingError):
        running.result_of(threading.Lock)
    assert running.result_of(pow, 2, 5) == 32


@pytest.mark.parametrize("size", [1, 2**20], ids=["whole in its pipe", "half written"])
def test_a_task_whose_child_dies_before_it_reads_it_is_given_to_another(running: Running, size: int) -> None:
    first = running.child
    os.kill(first.pid, signal.SIGSTOP)
    jobs = [running.pool.apply_async(len, (blob(size),)), running.pool.apply_async(pow, (2, 5))]

    running.kill_child()
    running.until(lambda: all(job.ready() for job in jobs))

    assert [job.get() for job in jobs] == [size, 32]
    assert [job.worker_pids() for job in jobs] == [[running.child.pid]] * 2
    assert running.child is not first


# --- What a child leaves behind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [IN_ITS_HEAD, BEHIND_ITS_HEAD, IN_ITS_BODY])
def test_a_message_arrives_whole_when_the_loop_loses_its_reader_half_way(running: Running, cut: int) -> None:
    running.write(FIRST[:cut])
    running.until_read()

    running.lose_the_connection()
    running.write(FIRST[cut:] + SECOND)
    running.until(lambda: len(running.news) == 2)

    assert running.news == [b"first" * 1000, b"second"]
    assert running.result_of(pow, 2, 5) == 32


def test_a_result_arrives_whole_however_often_the_loop_loses_its_readers(running: Running) -> None:
    job = running.pool.apply_async(blob, (4 * 2**20,))

    def lost_and_ready() -> bool:
        running.lose_the_connection()
        return bool(job.ready())

    running.until(lost_and_ready)

    assert job.get() == blob(4 * 2**20)
    assert running.result_of(pow, 2, 5) == 32


@pytest.mark.parametrize("loses_connection", [False, True])
@pytest.mark.parametrize("cut", [IN_ITS_HEAD, BEHIND_ITS_HEAD, IN_ITS_BODY])
def test_half_a_message_of_a_dead_child_is_not_the_beginning_of_its_successors(
    running: Running, cut: int, loses_connection: bool
) -> None:
    descriptor = running.child.outqR_fd
    running.write(FIRST[:cut])
    running.until_read()
    if loses_connection:
        running.lose_the_connection()

    running.kill_child()

    assert running.child.outqR_fd == descriptor
    assert running.result_of(pow, 2, 5) == 32
    assert running.news == []


def test_half_a_message_of_a_child_that_died_at_work_is_not_the_beginning_of_its_successors(
    release: tuple[int, int], no_gaps: None, running: Running
) -> None:
    """Such a child's pipe is closed, and the next one's has its number."""
    pipe, descriptor = running.child.outq, running.child.outqR_fd
    running.busy_child(release[0])
    running.write(FIRST[:IN_ITS_BODY])
    running.until_read()
    running.lose_the_connection()

    running.kill_child()

    assert running.child.outq is not pipe
    assert running.child.outqR_fd == descriptor
    assert running.result_of(pow, 2, 5) == 32
    assert running.news == []


@pytest.mark.parametrize("loses_connection", [False, True])
def test_what_a_child_wrote_before_it_died_arrives_though_half_of_it_was_read_before(
    running: Running, loses_connection: bool
) -> None:
    running.write(FIRST[:IN_ITS_BODY])
    running.until_read()
    if loses_connection:
        running.loop.reset()

    running.write(FIRST[IN_ITS_BODY:] + SECOND)
    os.kill(running.child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, running.child.pid, os.WEXITED | os.WNOWAIT)
    running.pool.flush()

    assert running.news == [b"first" * 1000, b"second"]
    running.register()
    assert running.result_of(pow, 2, 5) == 32


def test_a_child_that_has_closed_its_files_and_not_yet_ended_is_replaced_as_soon_as_it_has(running: Running) -> None:
    ending = running.child
    running.pool._event_process_exit(running.loop, ending)
    assert running.child is ending

    running.kill_child()

    assert running.result_of(pow, 2, 5) == 32


def test_a_pool_that_stops_without_a_connection_reads_on_where_it_was(
    release: tuple[int, int], running: Running
) -> None:
    job = running.busy_child(release[0])
    running.write(FIRST[:IN_ITS_BODY])
    running.until_read()

    running.loop.reset()
    running.write(FIRST[IN_ITS_BODY:])
    os.write(release[1], b"!")
    running.pool.close()
    running.pool.join()

    assert running.news == [b"first" * 1000]
    assert job.get() == b"!"


@shared_task(name="reporting.probe_long_message")
def stop_while_writing(journal: str, release: str) -> None:
    """Ends with a long message to its main process, and stands still in the middle of writing it."""
    probe.note(journal, str(os.getpid()))
    pause = threading.Event()
    while not Path(release).exists():
        pause.wait(0.05)
    signal.signal(signal.SIGALRM, _stop_in_the_middle)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    raise Ignore("x" * 2**20)


def _stop_in_the_middle(_: int, frame: FrameType | None) -> None:
    if frame and frame.f_code.co_qualname == "Connection._send":
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.kill(os.getpid(), signal.SIGSTOP)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.pipeline
@pytest.mark.broker
def test_a_worker_that_loses_its_connection_half_way_through_a_childs_message_works_on(
    start_worker: StartWorker, broker_node: Node | None, tmp_path: Path
) -> None:
    if broker_node is None:
        pytest.skip("BROKER_URL names a broker whose connections this test must not close")
    journal, release = tmp_path / "journal", tmp_path / "release"
    worker = start_worker("reporting", "--concurrency=1", f"--include=tests.probe,{__name__}")
    long: Any = stop_while_writing
    result = long.delay(str(journal), str(release))
    until(lambda: journal.exists() and journal.read_text().endswith("\n"), what="the run")
    child = int(journal.read_text())

    # Nobody reads while the child writes, so that it has to stop before the end.
    os.kill(worker.popen.pid, signal.SIGSTOP)
    release.touch()
    until(lambda: _is_stopped(child), what="the child to stand still")
    os.kill(worker.popen.pid, signal.SIGCONT)
    broker_node.control("close_all_connections", "the test of a lost connection")
    until(lambda: worker.log.read_text().count("Connected to amqp") > 1, what="the worker's return")
    os.kill(child, signal.SIGCONT)

    after: Any = probe.add.delay(1, 2)
    until(lambda: after.state == "SUCCESS" or worker.is_dead, what="a task after that, in the same child")
    assert after.state == "SUCCESS"
    assert TaskResult.objects.get(task_id=result.id).status == "IGNORED"
    assert worker.log.read_text().count("Traceback") == 0


@pytest.mark.pipeline
@pytest.mark.broker
@pytest.mark.parametrize(
    ("options", "implementation"),
    [
        ([], "routing.worker.prefork:TaskPool"),
        (["--pool=prefork"], "routing.worker.prefork:TaskPool"),
        (["--pool=threads"], "celery.concurrency.thread:TaskPool"),
        (["--pool=solo"], "celery.concurrency.solo:TaskPool"),
    ],
)
def test_every_worker_has_this_pool_unless_it_is_asked_for_another(
    start_worker: StartWorker, clean_broker: Connection, options: list[str], implementation: str
) -> None:
    start_worker("reporting", *options)

    added: Any = probe.add.delay(1, 2)
    until(lambda: added.state == "SUCCESS", what="a task in that pool")

    replies = current_app.control.inspect(timeout=5, connection=clean_broker).stats() or {}
    assert [stats["pool"]["implementation"] for stats in replies.values()] == [implementation]
