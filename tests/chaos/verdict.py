"""The verdict: whether a run proved what it set out to prove, and the figures that say so."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.evidence import Evidence
from tests.chaos.judge import Charge, Finding
from tests.chaos.options import Options
from tests.chaos.plan import BY_THEMSELVES, Target, least

REPORTED_BY_SELFTEST = frozenset(
    {
        Charge.LOST,
        Charge.STUCK,
        Charge.DOUBLE_OUTCOME,
        Charge.DOUBLE_EFFECT,
        Charge.STARTED_TWICE,
        Charge.PHANTOM,
        Charge.IMBALANCE,
    }
)
"""What each kind of sabotage must be reported as."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    options: Options
    evidence: Evidence
    finding: Finding
    kills: Counter[str]
    shortfalls: tuple[str, ...]
    """In sentences: what fell below its minimum, or could not be brought back."""
    deaths: Mapping[str, int]
    """Of whom nobody had killed, by program."""

    @property
    def passed(self) -> bool:
        return not self.finding.accusations and not self.shortfalls

    @property
    def sabotage_was_reported(self) -> bool:
        return all(self.finding.count(charge) for charge in REPORTED_BY_SELFTEST)

    def summary(self) -> dict[str, Any]:
        count = self.finding.count
        return {
            "passed": self.passed,
            "accepted": self.evidence.accepted,
            "finished": self.evidence.finished,
            "in_flight": len(self.evidence.in_flight),
            "journalled": self.finding.journalled,
            "lost": count(Charge.LOST),
            "double_outcomes": count(Charge.DOUBLE_OUTCOME),
            "double_effects": count(Charge.DOUBLE_EFFECT),
            "missing_effects": count(Charge.MISSING_EFFECT),
            "phantoms": count(Charge.PHANTOM),
            "started_twice": count(Charge.STARTED_TWICE),
            "run_twice": count(Charge.RUN_TWICE),
            "poisoned": count(Charge.POISONED),
            "interrupted": sum((self.evidence.interrupted or {}).values()),
            "false_outcomes": count(Charge.FALSE_OUTCOME),
            "torn_transactions": count(Charge.TORN),
            "shared_keys": count(Charge.SHARED_KEY),
            "imbalances": count(Charge.IMBALANCE),
            "open_chords": count(Charge.OPEN_CHORD),
            "kills": self.kills.total(),
            "kills_by_kind": dict(sorted(self.kills.items())),
            "died_in_windows": dict(sorted(Counter(self.evidence.died_in_windows.values()).items())),
            "outcomes": dict(sorted(Counter(one.status for one in self.evidence.outcomes.values()).items())),
            "runs_repeated": sum(starts - 1 for starts in self.evidence.starts.values()),
            "shortfalls": list(self.shortfalls),
            "unexpected_deaths": dict(self.deaths),
            "seconds": self.options.seconds,
            "seed": self.options.seed,
            "nodes": self.options.nodes,
            "database": self.options.database,
        }


def too_few(kills: Counter[str], targets: Iterable[Target], *, seconds: int) -> list[str]:
    """Whether the attacks were as many as the run claims."""
    kinds = sorted(BY_THEMSELVES.union(*(target.deck for target in targets)))
    return [
        f"{kills[kind]} of {kind}, and at least {least(kind, seconds)} were wanted"
        for kind in kinds
        if kills[kind] < least(kind, seconds)
    ]


def too_little(journalled: int, options: Options) -> list[str]:
    """Whether the load was as high as the run claims."""
    if journalled >= options.least_accepted:
        return []
    return [f"{journalled} tasks were enqueued, and at least {options.least_accepted} were wanted"]
