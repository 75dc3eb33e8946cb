"""The heart of a worker: a thread of its main process that shows that it lives, from its start to its end."""

import logging
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.worker.state import maybe_shutdown
from django.db import DatabaseError, InterfaceError

from routing.broker.names import logical
from routing.ledger import database, pauses, processes, queues
from routing.ledger.patience import until_reachable
from routing.ledger.tables import Process
from routing.worker import forks, holding, incarnation, interrupted
from routing.worker.embedded import EmbeddedRelay
from routing.worker.orders import Orders
from routing.worker.strays import Strays

logger = logging.getLogger(__name__)

TICK = 0.2
IDLE_AFTER = 15.0
"""Seconds without consuming after which a worker says so; a connection that was lost is mostly back by then."""
LEAVE_WITHIN = 15.0
KILLED_WITHIN = 5.0


class Heart:
    """Registers the worker before its first child is forked, beats, and leaves after its last child has ended.

    A worker that finds itself declared dead kills what it runs, because that runs elsewhere by now, and starts anew.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._id = 0
        self._queues: set[str] = set()
        self._kept: Any = None
        self._registered = threading.Event()
        self._stopping = threading.Event()
        self._is_draining = False
        self._is_failing = False
        self._started_at = time.monotonic()
        self._relay = EmbeddedRelay()
        self._strays: Strays | None = None
        self._orders: Orders | None = None
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
        self._error: BaseException | None = None

    def start(self) -> None:
        """Return once the worker is registered, however long the database is away; a signal to stop ends the wait."""
        self._thread.start()
        while not self._registered.wait(TICK):
            maybe_shutdown()
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """What still runs may end; from now on, no messages are taken."""
        self._is_draining = True

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(LEAVE_WITHIN)

    def _run(self) -> None:
        try:
            self._id = until_reachable(self._register, seconds=float("inf"))
            self._orders = Orders(self._worker, self._id)
            # Before it takes anything: a queue may have been paused long ago.
            until_reachable(self._orders.look, seconds=float("inf"))
        except BaseException as error:  # noqa: BLE001  (the main thread waits for it, and raises it)
            self._error = error
            return
        # A forked child has no such thread, and would close its connection. SQLite takes that for its own process's.
        self._kept = database.connection()
        incarnation.become(self._id)
        self._strays = Strays(self._id)
        self._registered.set()
        # Workers that start together do not all embed a relay.
        beat_at = time.monotonic() + random.uniform(0.5, 2)  # noqa: S311
        while not self._stopping.wait(max(min(beat_at - time.monotonic(), pauses.LOOK_EVERY), 0.0)):
            self._look_for_orders()
            if time.monotonic() >= beat_at:
                self._beat()
                beat_at = time.monotonic() + processes.BEAT_EVERY
        self._leave()

    def _register(self) -> int:
        self._queues = {logical(name) for name in self._worker.app.amqp.queues.consume_from}
        queues.remember(self._queues)
        holding.look(self._queues)
        return processes.register(Process.Role.WORKER, self._worker.hostname, queues=sorted(self._queues))

    def _look_for_orders(self) -> None:
        try:
            with forks.held_off():
                if self._orders is not None:
                    self._orders.look()
        except (DatabaseError, InterfaceError) as error:
            self._tell_once(error)
        except Exception:
            logger.exception("What is asked of this worker cannot be read, for a reason that is not known")

    def _beat(self) -> None:
        consuming, trouble = self._condition()
        try:
            with forks.held_off():
                lives = processes.beat(self._id, consuming=consuming, trouble=trouble)
                wants_relay = lives and not self._is_draining and self._relay.is_wanted()
                if lives:
                    holding.look(self._queues)
                if lives and self._strays is not None:
                    self._strays.look()
        except (DatabaseError, InterfaceError) as error:
            self._tell_once(error)
        except Exception:
            logger.exception("A beat failed for a reason that is not known")
        else:
            self._is_failing = False
            if not lives:
                self._start_anew()
            if wants_relay:
                self._relay.start()

    def _condition(self) -> tuple[bool | None, str]:
        """Whether it takes messages, as far as that is known, and what is wrong if it does not."""
        if self._is_draining or self._blocks_itself():
            return None, ""
        consumed_at = getattr(getattr(self._worker, "consumer", None), "consumed_at", None)
        idle = time.monotonic() - (consumed_at or self._started_at)
        if idle < IDLE_AFTER:
            return (True if consumed_at else None), ""
        return False, f"The worker {self._worker.hostname} is alive but has taken no messages for {idle:.0f} s."

    def _blocks_itself(self) -> bool:
        """A solo pool runs tasks where others consume."""
        return "solo" in getattr(self._worker.pool_cls, "__module__", "")

    def _tell_once(self, error: Exception) -> None:
        with forks.held_off():
            database.connection().close()
        if not self._is_failing:
            logger.warning("Cannot tell the database that this worker lives; it goes on trying. %s", error)
        self._is_failing = True

    def _leave(self) -> None:
        """The row first: a relay takes seconds to end, and whoever supervises us may not wait for it."""
        with forks.held_off():
            try:
                interrupted.give_back(self._id)
                processes.leave(self._id)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("This worker's row stays, because the database cannot be reached: %s", error)
            finally:
                database.connection().close()
        self._relay.stop()

    def _start_anew(self) -> None:
        """A supervisor is not needed for it: the same process becomes the same program again."""
        logger.critical(
            "This worker was declared dead, because it showed no life for %.0f s while others could: it was frozen, "
            "or its way to the database was cut. What it ran runs elsewhere. It drops that, and starts anew.",
            processes.DEAD_AFTER,
        )
        forks.hold_off_for_good()
        self._relay.stop()
        _kill(_children())
        if self._is_draining:
            os._exit(os.EX_TEMPFAIL)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def _children() -> list[int]:
    own, found = os.getpid(), []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything.
            if int(path.read_text().rpartition(")")[2].split()[1]) == own:
                found.append(int(path.parent.name))
    return found


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + KILLED_WITHIN
    while pids and time.monotonic() < deadline:
        pids = [pid for pid in pids if _is_left(pid)]
        time.sleep(0.01)


def _is_left(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False
