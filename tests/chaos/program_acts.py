"""Attacks on our own processes, which are started again by themselves."""

import os
import signal
import time
from collections.abc import Mapping
from functools import partial

from tests.chaos import wire
from tests.chaos.acts import Act, Missed, since, within
from tests.chaos.cast import Cast
from tests.chaos.plan import Decision, Target
from tests.chaos.programs import Program
from tests.waiting import until

VICTIM_WITHIN = 10
ENDED_WITHIN = 120
SHORT, LONG = (0.5, 4.0), (9.0, 14.0)
"""For how many seconds something stands still: shorter and longer than what it takes to be declared dead."""


class ProgramActs:
    def __init__(self, cast: Cast) -> None:
        self._cast = cast

    def kinds(self) -> Mapping[str, Act]:
        killed = dict.fromkeys(("worker-kill", "relay-kill", "beat-kill", "web-kill", "caller-kill"), self._kill)
        stopped = dict.fromkeys(("worker-stop", "relay-stop"), self._stop)
        # A database behind a frozen wire hangs.
        frozen = ("worker-freeze", "relay-freeze", "database-freeze")
        frozen_long = ("worker-freeze-long", "relay-freeze-long", "database-freeze-long")
        return {
            "child-kill": self._kill_child,
            "answer-loss": self._lose_answers,
            **killed,
            **stopped,
            **dict.fromkeys(frozen, partial(self._freeze, span=SHORT, all_of_it=True)),
            **dict.fromkeys(frozen_long, partial(self._freeze, span=LONG, all_of_it=True)),
            # Its children go on, and nobody beats for them.
            "main-freeze-long": partial(self._freeze, span=LONG, all_of_it=False),
        }

    def mend(self) -> None:
        """An attack may have been interrupted in the middle."""
        for program in self._cast.all:
            program.signal(signal.SIGCONT, all_of_it=True)

    def _kill_child(self, target: Target, decision: Decision) -> str:
        children = [(worker, child) for worker in self._cast.workers for child in worker.children()]
        if not children:
            raise Missed
        worker, child = children[int(decision.victim * len(children))]
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            raise Missed from None
        return f"{worker.name}, process {child}"

    def _kill(self, target: Target, decision: Decision) -> str:
        return f"{target.name}, process {_signalled(self._cast.named(target.name), signal.SIGKILL)}"

    def _stop(self, target: Target, decision: Decision) -> str:
        program = self._cast.named(target.name)
        began, pid = time.monotonic(), _signalled(program, signal.SIGTERM)
        until(lambda: program.pid != pid, seconds=ENDED_WITHIN, what=f"the end of {target.name}")
        return f"{target.name}, process {pid}, which took {since(began)} to end"

    def _lose_answers(self, target: Target, decision: Decision) -> str:
        _signalled(self._cast.named(target.name), signal.SIGUSR1)
        return f"the next {wire.AT_ONCE} of PostgreSQL's"

    def _freeze(self, target: Target, decision: Decision, *, span: tuple[float, float], all_of_it: bool) -> str:
        program, seconds = self._cast.named(target.name), within(span, decision.length)
        pid = _signalled(program, signal.SIGSTOP, all_of_it=all_of_it)
        time.sleep(seconds)
        program.signal(signal.SIGCONT, all_of_it=all_of_it)
        return f"{target.name}, process {pid}, for {seconds:.1f} s"


def _signalled(program: Program, number: signal.Signals, *, all_of_it: bool = False) -> int:
    """The process that got it. One that is just being started again is waited for."""
    deadline = time.monotonic() + VICTIM_WITHIN
    while (pid := program.signal(number, all_of_it=all_of_it)) is None:
        if time.monotonic() > deadline:
            raise Missed
        time.sleep(0.05)
    return pid
