"""``manage.py erase``: a person's payloads go wherever there are some, and that they did is written down."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules
from rich.console import Console
from rich.table import Table

from routing import erasing
from routing.erasing import Term, Unusable
from routing.ledger import processes
from routing.ledger.erasure_tables import Erasure
from routing.management import reachable
from routing.management.bulk import interruption

LONGEST_REFERENCE = 200
SHOWN = 50
STAYS = (
    "Not erased: suppressions and preferences (so that nobody writes to them again), backups, log files, what has "
    "been sent, and copies in RabbitMQ of the tasks that were cancelled, until a worker takes them."
)


class Command(BaseCommand):
    help = (
        "Erase what tasks, dead letters, notifications and reports hold of a person, found by an address or another "
        "text that only they have. Tasks in flight that mention it are cancelled. Exit status: 0 done, 1 refused, 130 "
        "stopped by Ctrl-C; the same command goes on."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("term", nargs="?", default="", metavar="TERM", help="such as ann@example.org")
        parser.add_argument("--dry-run", action="store_true", help="tell how many rows mention it, and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--reference", default="", metavar="TEXT", help="what it is written down under")
        parser.add_argument("--history", action="store_true", help="list what was erased, when and on whose word")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, term: str, history: bool, as_json: bool, **options: Any) -> None:
        with reachable.database(also=reachable.NOTHING_IS_LOST):
            if history:
                self._history(as_json)
            else:
                self._erase(_term(term), as_json=as_json, **options)

    def _erase(self, term: Term, *, dry_run: bool, yes: bool, reference: str, as_json: bool, **_: Any) -> None:
        if len(reference) > LONGEST_REFERENCE or "\0" in reference or term.is_in(reference):
            raise CommandError(
                f"--reference must be text of at most {LONGEST_REFERENCE} characters, without the person."
            )
        # A task's secret arguments, and what hangs on it, its code knows.
        current_app.loader.import_default_modules()
        autodiscover_modules("erasable")
        if dry_run or not yes:
            found = {kind: count for kind, count in erasing.count(term) if count}
            self._tell(found, "mention it", as_json=as_json and dry_run)
            if dry_run or not (found and self._confirmed()):
                return
        with interruption() as interrupted:
            done = erasing.erase(term, by=processes.whoever(), reference=reference, stopped=lambda: bool(interrupted))
        self._tell(done.counts, "erased", as_json=as_json, number=done.pk)
        if done.ended_at is None:
            self.stderr.write("Stopped before it was through. The same command goes on with the rest.")
            raise SystemExit(130)
        if not as_json:
            self.stdout.write(f"Written down as erasure {done.pk}. {STAYS}")

    def _confirmed(self) -> bool:
        if not sys.stdin.isatty():
            raise CommandError("Nothing was done, as there is nobody to ask. Add --yes to do it, or --dry-run.")
        self.stdout.write("Erase it for good? [y/N] ", ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _tell(self, counts: Mapping[str, int], what: str, *, as_json: bool, number: int | None = None) -> None:
        if as_json:
            erasure = {"erasure": number} if number is not None else {}
            self.stdout.write(json.dumps({**erasure, "rows": dict(counts)}, indent=2))
            return
        for kind, count in counts.items():
            self.stdout.write(f"{count:>10,}  {kind}")
        rows = "row" if sum(counts.values()) == 1 else "rows"
        self.stdout.write(f"{sum(counts.values()):,} {rows} {what}." if counts else f"No rows {what}.")

    def _history(self, as_json: bool) -> None:
        found = Erasure.objects.order_by("-pk")[:SHOWN]
        if as_json:
            self.stdout.write(json.dumps({"erasures": [_document(one) for one in found]}, indent=2))
            return
        table = Table("No.", "Started", "By", "Reference", "Rows", "State")
        for one in found:
            state = "done" if one.ended_at else "stopped; the same command goes on"
            started = f"{timezone.localtime(one.started_at):%Y-%m-%d %H:%M}"
            table.add_row(f"{one.pk}", started, one.by, one.reference, f"{sum(one.counts.values()):,}", state)
        if found:
            Console(file=self.stdout, soft_wrap=True).print(table)  # type: ignore[arg-type]
        else:
            self.stdout.write("Nothing was ever erased.")


def _term(text: str) -> Term:
    try:
        return Term(text.strip())
    except Unusable as error:
        raise CommandError(str(error)) from None


def _document(one: Erasure) -> dict[str, Any]:
    times = {
        name: moment and moment.isoformat()
        for name, moment in (("started_at", one.started_at), ("ended_at", one.ended_at))
    }
    return {"erasure": one.pk, "by": one.by, "reference": one.reference, **times, "rows": one.counts}
