"""One run from start to verdict: everything is started, attacked, left to settle, stopped and judged."""

import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connection
from django_celery_results.models import TaskResult

from routing.domains import registry
from routing.ledger.tables import Message, Outbox
from tests.chaos import cast as casting
from tests.chaos import traces
from tests.chaos.cast import Cast
from tests.chaos.evidence import Evidence, gather
from tests.chaos.ground import Ground
from tests.chaos.judge import judge
from tests.chaos.kills import Killer
from tests.chaos.options import Options
from tests.chaos.plan import Target, everything, programs
from tests.chaos.report import Report
from tests.chaos.verdict import Verdict, too_few, too_little
from tests.chaos.visitor import Visitor
from tests.waiting import until

T = TypeVar("T")

READY_WITHIN = 120
PROGRESS_EVERY = 10.0
TICK = 1.0


class Aborted(Exception):
    """Something that was attacked does not work again, so nothing can be proved; the arguments say what."""


class Run:
    ACTS = "attacks"

    def __init__(self, ground: Ground, options: Options) -> None:
        self._ground = ground
        self._options = options
        self._report = Report(ground.folder)
        self._targets = _targets(options)
        self._cast = Cast(ground, options)
        self._killer = Killer(ground, self._cast, self._report)
        self._told_at = 0.0

    def run(self) -> Verdict:
        """Return the verdict, with everything that was started stopped."""
        try:
            self._start()
            self._attack()
            self._settle()
            # Bodies that run still, as copies that were declared dead, are to end before the judge looks.
            casting.stop(program for program in self._cast.all if program not in self._cast.wires)
            return self._judge()
        finally:
            # After a run that was cut short there is nothing to wait for.
            casting.stop(self._cast.all, within=0)
            connection.close()

    @property
    def performed(self) -> Counter[str]:
        return self._killer.performed

    @property
    def failed(self) -> list[str]:
        """What does not work again, in sentences."""
        return self._killer.failed

    def tell(self, verdict: Verdict) -> None:
        for shortfall in verdict.shortfalls:
            self._report.say(f"SHORTFALL  {shortfall}")
        if not verdict.passed:
            self._report.say(f"To see what happened to a task: grep -rh TASK-ID {self._ground.folder} | less")
        self._report.conclude(verdict.summary())

    def give_up(self, aborted: Aborted) -> None:
        self._report.conclude({"passed": False, "aborted": aborted.args[0], "seed": self._options.seed})

    def _start(self) -> None:
        self._report.say(f"make chaos {self._options}")
        self._report.say(f"journals, logs, tables: {self._ground.folder}")
        self._ground.start()
        traces.create_table()
        for program in self._cast.all:
            if program not in self._cast.callers:
                program.start()
        for worker in self._cast.workers:
            until(lambda worker=worker: " ready." in worker.log.read_text(), seconds=READY_WITHIN, what=worker.name)  # type: ignore[misc]

    def _attack(self) -> None:
        visitor = Visitor(f"http://127.0.0.1:{self._ground.port}", self._ground.folder)
        self._report.begin()
        for caller in self._cast.callers:
            caller.start()
        visitor.start()
        self._begin()
        while self._report.clock() < self._options.seconds and not self.failed:
            self._pause()
        self._cease()
        visitor.stop()
        if self.failed:
            raise Aborted(self.failed)
        self._report.say(f"no more calls; {visitor.promised} came through the web")

    def _begin(self) -> None:
        self._killer.start(self._targets, self._options.seed)

    def _cease(self) -> None:
        self._report.say("no more attacks")
        self._killer.stop()
        casting.stop([*self._cast.callers, self._cast.beat])

    def _settle(self) -> None:
        """Return when nothing is in flight, or nothing has come to its outcome for so long that nothing more will."""
        outcomes, since = 0, time.monotonic()
        while not self._is_quiet():
            if (now := self._outcomes()) > outcomes:
                outcomes, since = now, time.monotonic()
            if time.monotonic() - since > self._options.settle_within:
                self._report.say("tasks are in flight, and none of them moves")
                return
            self._pause()
        self._report.say("nothing is in flight")

    def _pause(self) -> None:
        time.sleep(TICK)
        if time.monotonic() - self._told_at > PROGRESS_EVERY:
            self._told_at = time.monotonic()
            in_flight = _ask(lambda: str(Message.objects.count()), otherwise="?")
            self._report.say(f"{self.performed.total()} {self.ACTS}; in flight: {in_flight}")

    def _outcomes(self) -> int:
        return _ask(TaskResult.objects.count, otherwise=0)

    def _is_quiet(self) -> bool:
        return _ask(lambda: not Message.objects.exists() and not Outbox.objects.exists(), otherwise=False)

    def _unexplained(self, evidence: Evidence) -> dict[str, int]:
        found = {program.name: program.deaths - evidence.died_in_windows.keys() for program in self._cast.all}
        return {name: len(deaths) for name, deaths in found.items() if deaths}

    def _too_few(self, kills: Counter[str], evidence: Evidence) -> list[str]:
        return too_few(kills, self._targets, seconds=self._options.seconds)

    def _judge(self) -> Verdict:
        evidence = gather(self._ground.folder, is_deployed=bool(self._options.deploy_every))
        finding = judge(evidence)
        self._report.tables()
        self._report.accusations(finding)
        windows = Counter({"window-kill": len(evidence.died_in_windows)})
        kills = self.performed + windows
        return Verdict(
            options=self._options,
            evidence=evidence,
            finding=finding,
            kills=kills,
            shortfalls=(
                *self._too_few(kills, evidence),
                *too_little(finding.journalled, self._options),
            ),
            deaths=self._unexplained(evidence),
        )


def _ask(question: Callable[[], T], *, otherwise: T) -> T:
    """What the database answers, or ``otherwise`` where it is away."""
    try:
        return question()
    except (DatabaseError, InterfaceError):
        connection.close()
        return otherwise


def _targets(options: Options) -> list[Target]:
    pools = list(registry().pools)
    if options.selftest:
        # A judge that sees little has nothing to say: everybody can work most of the time.
        return programs(pools)
    return everything(pools, nodes=options.nodes, database=options.database)


def main(run: Run, options: Options) -> int:
    """The exit status: 0 if the run proved what it set out to prove."""
    try:
        verdict = run.run()
    except Aborted as aborted:
        run.give_up(aborted)
        return 1
    run.tell(verdict)
    return 0 if (verdict.sabotage_was_reported if options.selftest else verdict.passed) else 1
