"""``manage.py reseal``: what is sealed with an old SECRET_KEY is sealed with today's, so that the old one can go."""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import autodiscover_modules

from routing import resealing, sealing
from routing.management import reachable
from routing.management.bulk import interruption
from routing.resealing import Resealed

UNKNOWN = "at none: put the key that is missing into SECRET_KEY_FALLBACKS"
LEFT = (
    "No key at hand opens {count:,} of them ({kinds}). Put the key that is missing into SECRET_KEY_FALLBACKS, and run "
    "it again."
)
CHECK = "Before you remove an old key, --dry-run must say that no row needs it."
Needs = dict[str, Counter[str]]
"""Rows by kind, by the fingerprint of the key that they need."""


class Command(BaseCommand):
    help = (
        "Seal anew, with SECRET_KEY, the secret arguments and values that are sealed with one of SECRET_KEY_FALLBACKS. "
        "Exit status: 0 done, 1 refused or some need a key that is not at hand, 130 stopped by Ctrl-C; what was done "
        "stays done."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="tell how many rows need which key; change nothing")
        parser.add_argument(
            "--from", default="", dest="begin", metavar="PLACE", help="go on from where it was stopped, as it told"
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, dry_run: bool, begin: str, as_json: bool, **_: Any) -> None:
        autodiscover_modules("sealed_rows")
        if dry_run and begin:
            raise CommandError("--dry-run looks through everything; leave out --from.")
        with reachable.database(also=reachable.NOTHING_IS_LOST):
            if dry_run:
                self._tell_needs(_needs(), as_json=as_json)
            else:
                self._reseal(begin, as_json=as_json)

    def _tell_needs(self, needs: Needs, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"keys": [*_documents(needs)]}, indent=2))
            return
        for key, where in _keys(needs):
            self.stdout.write(f"{key or '?':8}  {where}")
            for kind, count in needs.get(key, Counter({"rows": 0})).items():
                self.stdout.write(f"{count:>14,}  {kind}")
        if old := sum(rows.total() for key, rows in needs.items() if key not in ("", _today())):
            need = "needs" if old == 1 else "need"
            self.stdout.write(f"{old:,} {need} an old key; without --dry-run they are sealed with today's.")
        elif "" not in needs:
            self.stdout.write("No row needs an old key. Links in e-mails that are out, and sessions, may.")

    def _reseal(self, begin: str, *, as_json: bool) -> None:
        try:
            with interruption() as interrupted:
                done = resealing.reseal(begin=begin, stopped=lambda: bool(interrupted))
        except ValueError as error:
            raise CommandError(str(error)) from None
        unknown = +done.unknown
        if as_json:
            rows = {"resealed": dict(+done.rows), "unknown": dict(unknown), "stopped_at": done.reached}
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            self._tell(done)
        if done.reached:
            self.stderr.write(f'Stopped. Go on with the rest: manage.py reseal --from "{done.reached}"')
            raise SystemExit(130)
        if unknown:
            raise CommandError(LEFT.format(count=unknown.total(), kinds=_in_words(unknown)))

    def _tell(self, done: Resealed) -> None:
        total = done.rows.total()
        told = f" ({_in_words(+done.rows)})" if total else ""
        self.stdout.write(f"{total:,} {'row is' if total == 1 else 'rows are'} sealed with today's key{told}.\n{CHECK}")


def _needs() -> Needs:
    needs: Needs = {}
    for place, found in resealing.count():
        for key, rows in found.items():
            needs.setdefault(key, Counter())[place.kind] += rows
    return needs


def _keys(needs: Needs) -> Iterator[tuple[str, str]]:
    """Those at hand, today's first, and then what is at none."""
    yield from sealing.settings_by_key().items()
    if "" in needs:
        yield "", UNKNOWN


def _documents(needs: Needs) -> Iterator[dict[str, Any]]:
    for key, where in _keys(needs):
        rows = needs.get(key, Counter())
        yield {"key": key or None, "setting": where if key else None, "is_todays": key == _today(), "rows": dict(rows)}


def _today() -> str:
    return next(iter(sealing.settings_by_key()))


def _in_words(rows: Mapping[str, int]) -> str:
    """``tasks: 3, letters: 1``."""
    return ", ".join(f"{kind}: {count:,}" for kind, count in rows.items() if count)
