"""Targets that domains declare, and where they were missed for certain: percentiles are up to 5 % off."""

from collections.abc import Iterator
from dataclasses import dataclass

from reporting.periods import Period
from reporting.rollups.reading import Sum
from reporting.sections.shape import Scope
from routing.domains import Domain, Targets, registry

MARGIN = 1.05


@dataclass(frozen=True)
class Miss:
    """A domain that missed a target of its own; ``days`` on which, where the period has several."""

    domain: str
    days: tuple[Period, ...]


def declared(name: str) -> Domain | None:
    return next((domain for domain in registry() if domain.name == name), None)


def of(name: str) -> Targets:
    domain = declared(name)
    return domain.targets if domain else Targets()


def misses_success(sum_: Sum, targets: Targets) -> bool:
    return targets.success is not None and sum_.success is not None and sum_.success < targets.success


def misses_wait(sum_: Sum, targets: Targets) -> bool:
    return bool(targets.wait and sum_.p95_wait and sum_.p95_wait > targets.wait * MARGIN)


def misses_run(sum_: Sum, targets: Targets) -> bool:
    return bool(targets.run and sum_.p95_run and sum_.p95_run > targets.run * MARGIN)


def misses_any(sum_: Sum, targets: Targets) -> bool:
    return any(misses(sum_, targets) for misses in (misses_success, misses_wait, misses_run))


def missed(scope: Scope) -> Iterator[Miss]:
    """Domains that missed one over the whole period, and the days on which they did, in the order of their names."""
    for name, sums in sorted(scope.this.days.items()):
        targets = of(name)
        if misses_any(scope.this.domains[name], targets):
            days = zip(scope.period.days, sums, strict=True)
            yield Miss(name, tuple(day for day, sum_ in days if misses_any(sum_, targets)))


def budget_left(sum_: Sum, targets: Targets) -> float | None:
    """Of the failures that the target allows, the share that did not happen: 1 with none, 0 where all did, or more."""
    if targets.success is None or not sum_.judged:
        return None
    allowed = (1 - targets.success) * sum_.judged
    if not allowed:
        return 0.0 if sum_.failed else 1.0
    return max(1 - sum_.failed / allowed, 0.0)
