"""``manage.py cleanup`` prunes what is past its retention; ``--dry-run`` only tells what would go."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from routing.ledger import retention


class Command(BaseCommand):
    help = "Prune results by their domains' retention, expired sessions and cache entries, and what chords left behind."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count what would go, and remove nothing")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        if dry_run:
            self._tell("would go", retention.preview(now=timezone.now()))
            return
        pruned = retention.prune(now=timezone.now())
        self._tell("removed", pruned.removed)
        if not pruned.complete:
            self.stdout.write("Time ran out with rows left over: run this again, or leave them to the next night's.")

    def _tell(self, what: str, counts: dict[str, int]) -> None:
        for kind, count in counts.items():
            if count:
                self.stdout.write(f"{count:>12,}  {kind}")
        total = sum(counts.values())
        self.stdout.write(f"{total:>12,}  {what}" if total else "Nothing is past its retention.")
