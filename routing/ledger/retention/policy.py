"""Policy: what the domains declare about their results, as rules of (domain, outcome, age)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from celery import states

from routing.domains import Retention, registry
from routing.ledger import results

NO_DOMAIN = ""
"""What no declared domain claims is kept by the default retention."""
SUCCESS, FAILURE = "success", "failure"
# What a worker recorded as REVOKED counts as a failure: somebody may still ask why it did not run.
OUTCOMES = {
    states.SUCCESS: SUCCESS,
    states.IGNORED: SUCCESS,
    states.FAILURE: FAILURE,
    states.REVOKED: FAILURE,
}


@dataclass(frozen=True)
class Rule:
    """What of this domain and outcome is older than ``age`` goes; what is older than ``until`` is another rule's."""

    domain: str
    outcome: str
    age: timedelta
    until: timedelta | None = None


def declared() -> dict[str, Retention]:
    return {NO_DOMAIN: Retention(), **{domain.name: domain.retention for domain in registry()}}


def of_results() -> dict[timedelta, list[Rule]]:
    """By age, the oldest first: one walk through the table for each."""
    return _by_age(
        Rule(domain, outcome, age) for domain, kept in declared().items() for outcome, age in kept.by_outcome.items()
    )


def of_payloads() -> dict[timedelta, list[Rule]]:
    """Where they go before the outcome."""
    return _by_age(
        Rule(domain, outcome, kept.payload, until=age)
        for domain, kept in declared().items()
        for outcome, age in kept.by_outcome.items()
        if kept.payload is not None and kept.payload < age
    )


def patterns() -> list[list[str]]:
    """What decides whose a task is."""
    return [[domain.name, *domain.tasks] for domain in registry()]


def longest() -> timedelta:
    """When no result can be left."""
    return max(age for kept in declared().values() for age in kept.by_outcome.values())


def claimed() -> tuple[dict[str, str], bool]:
    """Task name → the domain that claims it, of the results there are; and whether that is all of them."""
    found = {name: domain_of(name) for name in results.task_names()}
    claimed = {name: domain for name, domain in found.items() if domain}
    return claimed, len(claimed) == len(found) and not results.has_nameless()


def domain_of(task: str) -> str | None:
    domain = registry().of_task(task)
    return domain.name if domain else None


def _by_age(rules: Iterable[Rule]) -> dict[timedelta, list[Rule]]:
    grouped: Mapping[timedelta, list[Rule]] = defaultdict(list)
    for rule in rules:
        grouped[rule.age].append(rule)
    return dict(sorted(grouped.items(), reverse=True))
