"""``manage.py audit``: whether every accepted task is accounted for, and what is stuck; an exit status for scripts."""

import argparse
import json
import logging
from typing import Any

from celery import states
from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, OperationalError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from routing.console.lives import pause_sentence
from routing.ledger import audit, pauses
from routing.ledger.audit import Audit
from routing.management import reachable

logger = logging.getLogger(__name__)

PASSED, FAILED, UNREACHABLE = 0, 1, 2
CURE = "What to do: docs/operations.md, “When the books do not balance”."

WORDS = {states.PENDING: "waiting", states.STARTED: "running", states.RETRY: "to retry"}


class Command(BaseCommand):
    help = (
        "Balance the books of every domain: accepted = in flight + finished + pruned. Exit status: 0 they balance, "
        "1 they do not, or something has been stuck for over 5 minutes, 2 the database cannot be reached."
    )
    # It is called when something is wrong; a failing check must not hide what.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, as_json: bool, **_: Any) -> None:
        try:
            found = audit.audit()
            _note(found)
        except (OperationalError, InterfaceError) as error:
            self.stderr.write(f"The database cannot be reached, so nothing was audited: {reachable.first_line(error)}.")
            raise SystemExit(UNREACHABLE) from None
        if as_json:
            self.stdout.write(json.dumps(_document(found), indent=2))
        else:
            self._show(found)
        raise SystemExit(PASSED if found.passed else FAILED)

    def _show(self, found: Audit) -> None:
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        console.print(_table(found))
        for one in pauses.in_force():
            console.print(pause_sentence(one), style="yellow", markup=False, highlight=False)
        for stuck in found.stuck:
            style = "red" if stuck.for_long else "yellow"
            console.print(f"{stuck.sentence} For example {stuck.example}.", style=style, markup=False, highlight=False)
        for sentence in found.verdict:
            console.print(sentence, style="green" if found.balances else "red", markup=False, highlight=False)
        if not found.passed:
            console.print(CURE, markup=False, highlight=False)


def _note(found: Audit) -> None:
    try:
        audit.note(found)
    except DatabaseError as error:
        # A database that can be read and not written, or one that still has to be migrated, is audited as well.
        logger.warning("The start page will not tell of this audit: %s", reachable.first_line(error))


def _table(found: Audit) -> Table:
    caption = "Accepted = in flight + finished + pruned + missing."
    table = Table(title="Books", title_justify="left", caption=caption, caption_justify="left", show_lines=True)
    table.add_column("Domain", no_wrap=True)
    for heading in ("Accepted", "In flight", "Finished", "Pruned", "Missing"):
        table.add_column(heading, justify="right", no_wrap=True)
    for account in found.accounts:
        table.add_row(
            escape(account.domain or "(none)"),
            f"{account.books.accepted:,}",
            _by_state(account.in_flight),
            _by_state(account.finished),
            f"{account.books.pruned:,}",
            f"{account.missing or -account.surplus:,}",
            style=None if account.balances else "red",
        )
    return table


def _by_state(counts: audit.Counts) -> str:
    """The sum, and below it each state; those that a task made up are shown as they are."""
    parts = [f"{count:,} {WORDS.get(state, escape(state.lower()))}" for state, count in sorted(counts.items())]
    return "\n".join([f"{sum(counts.values()):,}", *parts])


def _document(found: Audit) -> dict[str, Any]:
    return {
        "status": "ok" if found.passed else "failing",
        "balances": found.balances,
        "accepted": found.accepted,
        "verdict": found.verdict,
        "paused": [pause_sentence(one) for one in pauses.in_force()],
        "domains": [account.as_json() for account in found.accounts],
        "stuck": [stuck.as_json() for stuck in found.stuck],
    }
