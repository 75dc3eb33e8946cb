"""One turn of each way to send: so many mails, from the call to the last that the server took, every one counted."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from benchmarks.compare.contenders import KEPT, OURS, ROOT, Contender, relay_command
from benchmarks.compare.programs import Program, Sender
from benchmarks.compare.services import Services
from benchmarks.compare.stored import Stored
from project.domains import DOMAINS
from tests.waiting import until

Figures = dict[str, float]
COUNT_EVERY = 0.1
DONE_WITHIN = 1_800.0
SHARES = (50, 95, 99)
"""Of a hundred urgent mails: within how many milliseconds so many were at the server."""
AT_FIRST = 10
"""Urgent mails, as the flood begins."""
SPREAD = 0.8
"""Of the time that as many took alone; urgent mails and what stores the flood slow it down, not speed it up."""
APART = 0.4
"""Seconds between two of the others, at least: longer than one takes, with the pause after it."""
COUNTING = "while True: sum(range(100_000))"
BULK_NICE = next(lane.nice for domain in DOMAINS for lane in domain.lanes if lane.name == "bulk")
HELD_AT = 20
"""Bulk and urgent mails a second, where a limit holds them back."""
HELD_SHARE = 0.9
"""Of a flood: so much has been told when its turn is."""
WORKERS = 2
"""Processes that send bulk mail, ours and stock's."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    services: Services
    folder: Path
    count: int
    urgent: int
    """Urgent mails, one at a time, whose way is timed."""
    mail_port: int
    server: Sender

    def environment(self, contender: Contender) -> dict[str, str]:
        return {
            **contender.environment(self.services, self.folder),
            "EMAIL_URL": f"smtp://127.0.0.1:{self.mail_port}",
            "STOCK_EMAIL_PORT": str(self.mail_port),
        }


class Turn:
    """What all ways have in common. ``name`` is also how its recipients are called."""

    contender: Contender
    title: str

    def __init__(self, setting: Setting, *, number: int) -> None:
        self._setting = setting
        self._number = number
        self.figures: Figures = {"lost": 0, "doubled": 0}

    def run(self) -> Figures:
        """Raises SystemExit, with the end of its log, if one of its programs ends."""
        self._setting.server.ask("clear")
        with ExitStack() as stack:
            self._measure(stack)
        return self.figures

    def _measure(self, stack: ExitStack) -> None:
        raise NotImplementedError

    def _send(self, caller: Sender, verb: str) -> None:
        prefix, count = f"mail{self._number}", self._setting.count
        told = caller.ask(verb, prefix=prefix, count=count)
        self.figures["call_s"] = told["seconds"]
        self._require(prefix, count)
        self.figures["mails_per_s"] = count / (self._last_at(prefix) - told["began"])

    def _require(self, prefix: str, count: int) -> None:
        """Wait until all have arrived, or until nothing more comes."""
        until(
            lambda: self._found(prefix)["recipients"] >= count or self._is_stuck(prefix),
            every=COUNT_EVERY,
            seconds=DONE_WITHIN,
            what=f"{count} mails; the logs are in {self._setting.folder}",
        )
        self._settle()
        found = self._found(prefix)
        self.figures["lost"] += count - found["recipients"]
        self.figures["doubled"] += found["messages"] - found["recipients"]

    def _is_stuck(self, prefix: str) -> bool:
        """Whether nobody is left who would send more."""
        return False

    def _settle(self) -> None:
        """Until whatever might still send has ended."""

    def _last_at(self, prefix: str) -> float:
        return self._found(prefix)["last_at"]

    def _found(self, prefix: str) -> Figures:
        """What the server has of these."""
        return self._setting.server.ask("count", prefix=f"{prefix}-")

    def _caller(self, stack: ExitStack, name: str = "caller") -> Sender:
        side = self.contender.side
        environment = self._setting.environment(self.contender)
        return stack.enter_context(told("caller", side, environment=environment, log=self._log(f"{side}-{name}")))

    def _program(self, stack: ExitStack, name: str, command: list[str]) -> Program:
        log = self._log(f"{self.contender.side}-{name}")
        return stack.enter_context(Program(command, self._setting.environment(self.contender), log))

    def _log(self, name: str) -> Path:
        """One for each turn: what is waited for in it has not been said before."""
        return self._setting.folder / f"{name}.{self._number}.log"


class Loop(Turn):
    title, contender = "a loop of send_mail", KEPT

    def _measure(self, stack: ExitStack) -> None:
        self._send(self._caller(stack), "loop")


class Stock(Turn):
    """A Celery task for each mail; connections to the database are kept, which makes stock faster."""

    title, contender = "a stock Celery task per mail", KEPT

    def _measure(self, stack: ExitStack) -> None:
        stored = Stored(self._setting.services.database_url(self.contender.database), has_ledger=False)
        stack.callback(stored.close)
        stored.clear()
        self._stored = stored
        worker = self._program(stack, "worker", self.contender.worker(4))
        worker.until(lambda: "ready." in worker.log.read_text(errors="replace") or _consumes(self._setting))
        self._send(self._caller(stack), "many")

    def _is_stuck(self, prefix: str) -> bool:
        return self._stored.count() >= self._setting.count

    def _settle(self) -> None:
        until(
            lambda: self._stored.count() >= self._setting.count, every=COUNT_EVERY, seconds=60, what="stock's results"
        )


class Ours(Turn):
    """``notify_many``, and then what a flood of it does to urgent mails."""

    title, contender = "notify_many", OURS

    def _measure(self, stack: ExitStack) -> None:
        caller = self._start(stack)
        self._send(caller, "many")
        self._time_urgent(caller, "idle")
        self._beside_others(caller)
        self._flood(stack, caller)

    def _start(self, stack: ExitStack) -> Sender:
        """A relay, both pools, and a caller."""
        self._stored = Stored(self._setting.services.database_url(self.contender.database), has_ledger=True)
        stack.callback(self._stored.close)
        self._program(stack, "relay", relay_command())
        for queue, size in (("notifications.bulk", WORKERS), ("notifications.urgent", 1)):
            command = [sys.executable, "manage.py", "pool", queue, "--", f"--concurrency={size}"]
            worker = self._program(stack, queue, command)
            worker.until(lambda worker=worker: " ready." in worker.log.read_text(errors="replace"))  # type: ignore[misc]
        caller = self._caller(stack)
        self._warm_up(caller)
        return caller

    def _warm_up(self, caller: Sender) -> None:
        caller.ask("urgent", prefix=f"warm{self._number}", count=3, seed=self._number)
        self._settle()

    def _beside_others(self, caller: Sender) -> None:
        """Urgent mails while programs that have nothing to do with us keep all processors busy, as nice as bulk is.

        Two processors may be one that is shared, or share what both need: this is what a busy machine costs by itself.
        """
        with ExitStack() as others:
            for number in range(os.cpu_count() or 1):
                self._program(others, f"other-{number}", ["nice", f"-n{BULK_NICE}", sys.executable, "-c", COUNTING])
            self._time_urgent(caller, "beside_others")

    def _flood(self, stack: ExitStack, caller: Sender) -> None:
        """Urgent mails while another caller stores, and workers send, as many as before.

        A few of them as it begins, while it is stored and handed to RabbitMQ, and the others spread over the time that
        it takes to be sent.
        """
        flooding, prefix = self._caller(stack, "flood"), f"flood{self._number}"
        flood = Thread(target=lambda: flooding.ask("many", prefix=prefix, count=self._setting.count))
        flood.start()
        until(lambda: self._last_at(prefix), every=COUNT_EVERY, seconds=60, what="the flood")
        began = time.monotonic()
        self._time_urgent(caller, "as_flood_begins", count=AT_FIRST, settle=False)
        left = self._setting.count / self.figures["mails_per_s"] * SPREAD - (time.monotonic() - began)
        # A small flood has room for a few.
        count = max(1, min(self._setting.urgent, int(left / APART)))
        self._time_urgent(caller, "in_flood", count=count, seconds=max(left, 0.0), settle=False)
        if self._found(prefix)["messages"] >= self._setting.count:
            raise SystemExit("The flood was over before the urgent mails were. Give more of it: COUNT")
        flood.join()
        self._require(prefix, self._setting.count)

    def _time_urgent(
        self, caller: Sender, name: str, *, count: int | None = None, seconds: float = 0.0, settle: bool = True
    ) -> None:
        prefix, count = f"{name}{self._number}", count or self._setting.urgent
        made = caller.ask("urgent", prefix=prefix, count=count, seed=self._number, seconds=seconds)
        until(
            lambda: self._found(prefix)["recipients"] == count,
            every=COUNT_EVERY,
            seconds=60,
            what=f"{count} urgent mails",
        )
        arrived = self._setting.server.ask("times", prefix=f"{prefix}-")
        took = sorted(arrived[address] - began for address, began in made.items())
        for share in SHARES:
            self.figures[f"urgent_p{share}_ms_{name}"] = took[min(len(took) * share // 100, len(took) - 1)] * 1e3
        if settle:
            self._settle()

    def _is_stuck(self, prefix: str) -> bool:
        return self._stored.is_quiet()

    def _settle(self) -> None:
        until(self._stored.is_quiet, every=COUNT_EVERY, seconds=DONE_WITHIN, what="an empty ledger")


class Held(Ours):
    """A flood that waits behind a limit, as providers ask for: it leaves the processors some rest."""

    title = "a flood held back by a limit"
    contender = replace(OURS, variables={"NOTIFICATIONS_LIMITS": f"email={HELD_AT}/s"})

    def _measure(self, stack: ExitStack) -> None:
        caller, prefix = self._start(stack), f"held{self._number}"
        self._time_urgent(caller, "idle")
        caller.ask("many", prefix=prefix, count=self._setting.count)
        # Each is told its turn first.
        until(
            lambda: self._stored.share_waiting() >= HELD_SHARE,
            every=COUNT_EVERY,
            seconds=60,
            what="a flood that is held back",
        )
        before, began = self._found(prefix), time.monotonic()
        self._time_urgent(caller, "in_held_flood", settle=False)
        found = self._found(prefix)
        if found["recipients"] >= self._setting.count:
            raise SystemExit("The flood was over before the urgent mails were. Give more of it: COUNT")
        self.figures["mails_per_s"] = (found["messages"] - before["messages"]) / (time.monotonic() - began)
        self.figures["doubled"] += found["messages"] - found["recipients"]


WAYS: tuple[type[Turn], ...] = (Loop, Stock, Ours, Held)


@contextmanager
def told(module: str, *arguments: str, environment: dict[str, str], log: Path) -> Iterator[Sender]:
    """One of this package's programs, that is told by lines of JSON what to do."""
    with log.open("ab") as errors:
        popen = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.notifications.{module}", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with popen:
        program = Sender(popen)
        try:
            program.answer()
            yield program
        finally:
            popen.terminate()


def _consumes(setting: Setting) -> bool:
    from kombu import Connection

    with Connection(setting.services.broker_url) as connection, connection.channel() as channel:
        found = channel.queue_declare(KEPT.queue, passive=True)  # type: ignore[attr-defined]
    return bool(found.consumer_count)
