"""The audit: every task that the tally counted is in flight, finished or pruned.

Two equations for each domain: in flight = accepted - finished, by the tally, and results kept = finished - pruned. A
row that was deleted by hand, of whichever table, breaks one of them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from routing.domains import registry
from routing.ledger import database, tally
from routing.ledger.pulse_tables import LastAudit
from routing.ledger.snapshot import one_moment
from routing.ledger.stuck import Stuck, everything_stuck
from routing.ledger.tally import Books

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Account:
    """A domain's books beside the rows there are: in flight by state, finished by status."""

    domain: str
    books: Books = field(default_factory=Books)
    in_flight: Counts = field(default_factory=dict)
    finished: Counts = field(default_factory=dict)

    @property
    def messages_missing(self) -> int:
        """Below zero where there are more than the tally knows of."""
        return self.books.accepted - self.books.finished - sum(self.in_flight.values())

    @property
    def results_missing(self) -> int:
        """Below zero where there are more than the tally knows of."""
        return self.books.finished - self.books.pruned - sum(self.finished.values())

    @property
    def balances(self) -> bool:
        return not self.messages_missing and not self.results_missing

    @property
    def missing(self) -> int:
        """Tasks that were accepted and are nowhere."""
        return max(self.messages_missing, 0) + max(self.results_missing, 0)

    @property
    def surplus(self) -> int:
        """Tasks that are there without having been accepted."""
        return max(-self.messages_missing, 0) + max(-self.results_missing, 0)

    @property
    def sentences(self) -> Iterator[str]:
        """What is wrong, where something is."""
        if self.missing:
            tasks = "task" if self.missing == 1 else "tasks"
            are = "is" if self.missing == 1 else "are"
            losses = " and ".join(self._losses())
            yield f"{self._name}: {self.missing:,} {tasks} of {self.books.accepted:,} {are} missing: {losses}."
        if self.surplus:
            tasks, are = ("task", "is") if self.surplus == 1 else ("tasks", "are")
            yield (
                f"{self._name}: {self.surplus:,} {tasks} more {are} there than the tally knows of; rows of the tally "
                "are gone, or tasks were put back by hand."
            )

    @property
    def _name(self) -> str:
        return self.domain or "(no domain)"

    def _losses(self) -> Iterator[str]:
        if self.messages_missing == 1:
            yield "1 was in flight, and its row is gone"
        elif self.messages_missing > 1:
            yield f"{self.messages_missing:,} were in flight, and their rows are gone"
        if self.results_missing == 1:
            yield "1 had finished, and its result is gone"
        elif self.results_missing > 1:
            yield f"{self.results_missing:,} had finished, and their results are gone"

    def as_json(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "accepted": self.books.accepted,
            "in_flight": dict(self.in_flight),
            "finished": dict(self.finished),
            "pruned": self.books.pruned,
            "tally": {"accepted": self.books.accepted, "finished": self.books.finished, "pruned": self.books.pruned},
            "messages_missing": self.messages_missing,
            "results_missing": self.results_missing,
            "balances": self.balances,
        }


@dataclass(frozen=True)
class Audit:
    accounts: tuple[Account, ...]
    stuck: tuple[Stuck, ...]

    @property
    def balances(self) -> bool:
        return all(account.balances for account in self.accounts)

    @property
    def accepted(self) -> int:
        return sum(account.books.accepted for account in self.accounts)

    @property
    def passed(self) -> bool:
        """The books balance, and nothing has been stuck for long."""
        return self.balances and not any(stuck.for_long for stuck in self.stuck)

    @property
    def verdict(self) -> list[str]:
        """One sentence where the books balance; else one or two for each domain whose do not."""
        wrong = [sentence for account in self.accounts for sentence in account.sentences]
        if wrong:
            return wrong
        if not self.accepted:
            return ["No task has been accepted yet, and none is there."]
        if self.accepted == 1:
            return ["The one accepted task is accounted for."]
        return [f"All {self.accepted:,} accepted tasks are accounted for."]


def audit() -> Audit:
    """Read everything as it was at one moment, while the pipeline goes on working."""
    with one_moment():
        books, in_flight, finished = tally.books(), _in_flight(), _finished()
        stuck = tuple(everything_stuck())
    declared = [domain.name for domain in registry()]
    others = sorted((books.keys() | in_flight.keys() | finished.keys()) - set(declared))
    accounts = (
        Account(name, books.get(name, Books()), in_flight.get(name, {}), finished.get(name, {}))
        for name in [*declared, *others]
    )
    return Audit(tuple(accounts), stuck)


def note(found: Audit) -> None:
    """For the start page, which could not go through all results. The last one to end is kept."""
    LastAudit.objects.using(database.using()).update_or_create(
        pk=1,
        defaults={
            "at": database.now(),
            "balances": found.balances,
            "stuck": sum(stuck.for_long for stuck in found.stuck),
            "accepted": found.accepted,
            "verdict": " ".join(found.verdict),
        },
    )


def last() -> LastAudit | None:
    return LastAudit.objects.using(database.using()).first()


def _in_flight() -> dict[str, Counts]:
    return _counts("SELECT domain, state, COUNT(*) AS count FROM routing_message GROUP BY domain, state")


def _finished() -> dict[str, Counts]:
    """Results that were settled from the ledger: those name their domain. Other rows are in nobody's books."""
    return _counts(
        f"""
        SELECT domain, state, COUNT(*) AS count
        FROM (SELECT {domain_in_meta()} AS domain, status AS state FROM django_celery_results_taskresult) AS results
        WHERE domain IS NOT NULL GROUP BY domain, state
        """
    )


def domain_in_meta(meta: str = "meta") -> str:
    """Whatever other programs wrote there, and be it no JSON, breaks nothing."""
    if database.on_postgresql():
        # A quote inside a value is written \", so only the key itself can match.
        return f"""substring({meta} from '"domain": ?"([^"\\\\]*)"')"""
    return (
        f"CASE WHEN json_valid({meta}) AND json_type({meta}, '$.domain') = 'text' "
        f"THEN json_extract({meta}, '$.domain') END"
    )


def _counts(sql: str) -> dict[str, Counts]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in database.rows(sql):
        counts[row["domain"]][row["state"]] = row["count"]
    return dict(counts)
