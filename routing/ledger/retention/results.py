"""Results past their time, and payloads that go before them: found, removed and counted by the database alone.

The table is walked in the order of ``date_done``, a window of so many rows at a time, whatever becomes of them: so a
batch is bounded also where nearly all of it is kept. What goes is counted in the books by the transaction that removes
it.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import OperationalError
from django.utils.translation import gettext_noop

from routing.ledger import database, tally
from routing.ledger.retention import policy, results_sql
from routing.ledger.retention.kinds import Batch, Counts, Kind, What
from routing.ledger.retention.policy import OUTCOMES, Rule
from routing.ledger.retention.results_sql import Place

LONGEST_WAIT = "50ms"
"""For a row that somebody else holds: less than PostgreSQL waits before it looks for a deadlock."""
LOCKED = "55P03"
"""PostgreSQL's code for a lock that was not to be had in that time."""


def expired(
    now: datetime, *, payloads_since: datetime | None = None, counted_until: datetime | None = None
) -> Iterator[Kind]:
    """``payloads_since``: when all of them were last gone through, which need not be done again.

    ``counted_until``: later results stay, whatever their age.
    """
    claimed, are_all = policy.claimed()
    for age, rules in policy.of_results().items():
        yield Results(now, age, rules, claimed, are_all=are_all, until=counted_until)
    for age, rules in policy.of_payloads().items():
        yield Payloads(now, age, rules, claimed, since=payloads_since and payloads_since - age)


class Results:
    """Rows that are older than ``age``, of the domains and outcomes that are kept for so long.

    ``are_all``: there are none but those of the tasks ``claimed``, so that nothing is left to look for after them.
    """

    kind: ClassVar[str] = "results"
    deed: ClassVar[results_sql.Deed] = results_sql.DELETE

    def __init__(
        self,
        now: datetime,
        age: timedelta,
        rules: Sequence[Rule],
        claimed: dict[str, str],
        *,
        are_all: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._are_all = are_all
        self._since = since
        self._reached: Place | None = None
        self._values = {
            "until": database.parameter(min(now - age, until or now)),
            "since": database.parameter(since),
            "now": now.isoformat(),
            "claimed": json.dumps(claimed),
            "known": json.dumps([name for name in policy.declared() if name]),
            "due": json.dumps([row for rule in rules for row in _due(rule, now)]),
            "due_at_once": json.dumps([row for rule in rules for row in _due_at_once(rule, now, claimed)]),
        }

    @property
    def using(self) -> str:
        return database.using()

    def count(self) -> Counts:
        found = database.rows(results_sql.count(self.deed, self._window()), self._values)
        return self._counted(found)

    def batch(self, limit: int) -> Batch:
        end = self._end(limit)
        found = self._remove(end)
        self._note(found)
        self._reached = end
        return Batch(self._counted(found), last=end is None)

    def _end(self, limit: int) -> Place | None:
        """The last place of the window; None if the rest fits into it."""
        values = {**self._bounds(), "length": limit}
        (behind,) = database.rows(results_sql.end(self._window()), values)
        if behind["at"] != behind["later"] or behind["at"] is None:
            return behind["at"] and (behind["at"], None)
        last = database.rows(results_sql.exact_end(self._window()), values)
        # Another clean-up may have removed some between the two looks: then the rest fits.
        return (last[0]["at"], last[0]["id"]) if last else None

    def _remove(self, end: Place | None) -> list[database.Row]:
        window, values = self._window(end), {**self._values, **self._bounds(end)}
        if database.on_postgresql():
            found = self._at_once(window, values)
            if found is None or not self._are_all:
                found = (found or []) + database.rows(results_sql.remove(self.deed, window), values)
            return found
        found = database.rows(results_sql.found_on_sqlite(self.deed, window), values)
        if found:
            ids = json.dumps([row["id"] for row in found])
            database.execute(results_sql.remove_on_sqlite(self.deed), {**self._values, "ids": ids})
        return [{**row, "count": 1} for row in found]

    def _at_once(self, window: str, values: dict[str, Any]) -> list[database.Row] | None:
        """All of the tasks that are claimed. None where somebody holds one of the rows: nothing was removed then."""
        try:
            with database.atomic():
                before = _set_lock_timeout(LONGEST_WAIT)
                found = database.rows(results_sql.remove_at_once(window), values)
                # What follows in the transaction waits as it did. Where this is undone, so is the setting.
                _set_lock_timeout(before)
                return found
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != LOCKED:
                raise
            return None

    def _window(self, end: Place | None = None) -> str:
        return results_sql.window(since=self._since is not None, reached=self._reached, end=end)

    def _bounds(self, end: Place | None = None) -> dict[str, Any]:
        values = {name: self._values[name] for name in ("until", "since")}
        for name, place in (("reached", self._reached), ("end", end)):
            if place:
                values |= {f"{name}_at": place[0], f"{name}_id": place[1]}
        return values

    def _note(self, found: list[database.Row]) -> None:
        """In the books of the domains that accepted the tasks."""
        books: Counter[str] = Counter()
        for row in found:
            if row["books"] is not None:
                books[row["books"]] += row["count"]
        tally.pruned(books)

    def _counted(self, found: list[database.Row]) -> Counts:
        counts: Counts = Counter()
        for row in found:
            counts[What(self.kind, row["domain"], row["outcome"])] += row["count"]
        return counts


class Payloads(Results):
    """Arguments and results that go, while the outcome stays."""

    kind = gettext_noop("payloads")
    deed = results_sql.EMPTY

    def _at_once(self, window: str, values: dict[str, Any]) -> list[database.Row] | None:
        return None

    def _note(self, found: list[database.Row]) -> None:
        """The rows stay in the books."""


def _set_lock_timeout(wait: str) -> str:
    """Until the transaction ends; what it was."""
    (row,) = database.rows(
        "SELECT current_setting('lock_timeout') AS before, set_config('lock_timeout', %s, true)", [wait]
    )
    return str(row["before"])


def _due(rule: Rule, now: datetime) -> Iterator[dict[str, str | None]]:
    for status, row in _by_status(rule, now):
        yield {"key": f"{status}/{rule.domain}", **row}


def _due_at_once(rule: Rule, now: datetime, claimed: dict[str, str]) -> Iterator[dict[str, str | None]]:
    for status, row in _by_status(rule, now):
        for task, domain in claimed.items():
            if domain == rule.domain:
                yield {"task": task, "status": status, **row}


def _by_status(rule: Rule, now: datetime) -> Iterator[tuple[str, dict[str, str | None]]]:
    until = None if rule.until is None else str(database.parameter(now - rule.until))
    for status, outcome in OUTCOMES.items():
        if outcome == rule.outcome:
            yield status, {"domain": rule.domain, "outcome": outcome, "until": until}
