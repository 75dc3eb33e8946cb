"""A run of deploys: under load, everything is restarted time and again, and nothing is lost, poisoned or run twice."""

from collections import Counter

from tests.chaos import cast as casting
from tests.chaos.deploys import Deploys
from tests.chaos.evidence import Evidence
from tests.chaos.ground import Ground
from tests.chaos.options import Options
from tests.chaos.run import Run

LEAST_INTERRUPTED = 30
"""One in so many seconds."""


class Rollout(Run):
    """The deploys go on while what is left settles: of two releases, each knows a task that the other does not."""

    ACTS = "restarts"

    def __init__(self, ground: Ground, options: Options) -> None:
        super().__init__(ground, options)
        self._deploys = Deploys(self._cast, self._report, every=options.deploy_every)

    @property
    def performed(self) -> Counter[str]:
        return self._deploys.performed

    @property
    def failed(self) -> list[str]:
        return self._deploys.failed

    def _begin(self) -> None:
        self._deploys.start()

    def _cease(self) -> None:
        casting.stop([*self._cast.callers, self._cast.beat])

    def _settle(self) -> None:
        super()._settle()
        self._deploys.end()

    def _too_few(self, kills: Counter[str], evidence: Evidence) -> list[str]:
        found = []
        if kills["restarted"] < len(self._cast.all) - 1:
            found.append(f"{kills['restarted']} restarts are not even one of each process")
        if kills["killed"]:
            found.append(f"{kills['killed']} pools had not ended in time, and were killed")
        interrupted, least = sum((evidence.interrupted or {}).values()), self._options.seconds // LEAST_INTERRUPTED
        if interrupted < least:
            found.append(f"{interrupted} tasks were interrupted, and at least {least} were wanted")
        return found
