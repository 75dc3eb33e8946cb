"""``manage.py cleanup`` prunes what is past its retention; ``--dry-run`` tells exactly what would go."""

import argparse
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from routing.ledger import retention
from routing.ledger.retention import Counts, records
from routing.ledger.retention.records import Told
from routing.ledger.retention.runs import as_json as rows_of

STOPPED = 130
SHOWN = 10
LATER = "The rest goes next time: run this again, or leave it to the nightly clean-up."


class Command(BaseCommand):
    help = (
        "Remove what is past its retention: results, payloads and dead letters as project/domains.py says, expired "
        "sessions and cache entries, and what else is over. It goes slowly, beside the pipeline, and may be stopped at "
        "any time. Exit status: 0 done, 1 the database is away, 130 stopped by Ctrl-C or SIGTERM."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--dry-run", action="store_true", help="tell exactly what would go, and remove nothing")
        what.add_argument("--history", action="store_true", help=f"tell what the last {SHOWN} clean-ups removed")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, dry_run: bool, history: bool, as_json: bool, **_: Any) -> None:
        try:
            if history:
                self._tell_history(records.latest(SHOWN), as_json=as_json)
            elif dry_run:
                self._tell(retention.preview(now=timezone.now()), as_json=as_json, would=True)
            else:
                self._clean(as_json=as_json)
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database refuses or does not answer; what was removed, was: {error}") from None

    def _clean(self, *, as_json: bool) -> None:
        with _told_to_stop() as signals:
            pruned = retention.prune(now=timezone.now(), stopped=lambda: bool(signals))
        self._tell(pruned.removed, as_json=as_json, complete=pruned.complete)
        if not pruned.complete:
            raise SystemExit(STOPPED)

    def _tell(self, counts: Counts, *, as_json: bool, would: bool = False, complete: bool = True) -> None:
        if as_json:
            told = {"rows": rows_of(counts), "total": counts.total(), "dry_run": would}
            self.stdout.write(json.dumps(told if would else {**told, "complete": complete}, indent=2))
            return
        if counts.total():
            table = _table(counts, title="What would go now" if would else "Removed")
            Console(file=self.stdout, soft_wrap=True).print(table)  # type: ignore[arg-type]
        elif complete:
            self.stdout.write("Nothing is past its retention.")
        if not complete:
            self.stdout.write(f"Stopped. {LATER}")

    def _tell_history(self, told: list[Told], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps([_document(one) for one in told], indent=2))
        elif told:
            self.stdout.write("\n".join(line for one in told for line in _lines(one)))
        else:
            self.stdout.write("No clean-up has run yet.")


@contextmanager
def _told_to_stop() -> Iterator[list[int]]:
    """The signals that have come. The second one ends it at once, which does no harm either."""
    signals: list[int] = []

    def note(number: int, _frame: object) -> None:
        signals.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _table(counts: Counts, *, title: str) -> Table:
    table = Table(title=title, title_justify="left", show_footer=True)
    table.add_column("Kind", footer="all")
    table.add_column("Domain")
    table.add_column("Outcome")
    table.add_column("Rows", justify="right", footer=f"{counts.total():,}")
    for what, count in sorted(counts.items()):
        if count:
            table.add_row(what.kind, escape(what.domain), what.outcome, f"{count:,}")
    return table


def _lines(one: Told) -> Iterator[str]:
    """When, how it ended, and beside that each thing that went."""
    started = timezone.localtime(one.cleanup.started_at)
    removed = [f"{count:,} {_words(what)}" for what, count in sorted(one.removed.items())] or ["nothing"]
    yield f"{started:%Y-%m-%d %H:%M}  {_end(one):26}  {removed[0]}"
    for words in removed[1:]:
        yield f"{'':46}{words}"


def _words(what: retention.What) -> str:
    return f"{what.kind} ({' '.join(filter(None, (what.domain, what.outcome)))})" if what.outcome else what.kind


def _end(one: Told) -> str:
    if one.cleanup.ended_at is None:
        return "runs, or was killed"
    took = (one.cleanup.ended_at - one.cleanup.started_at).total_seconds()
    return f"{'done' if one.cleanup.complete else 'ended early'} after {took:,.0f} s"


def _document(one: Told) -> dict[str, Any]:
    ended = one.cleanup.ended_at
    return {
        "started_at": one.cleanup.started_at.isoformat(),
        "ended_at": ended.isoformat() if ended else None,
        "complete": one.cleanup.complete,
        "removed": rows_of(one.removed),
    }
