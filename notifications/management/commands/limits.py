"""``manage.py limits``: how fast channels and hosts are sent to, what waits for them, and which hosts are down."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from notifications.pacing import deciding, standing
from notifications.pacing.standing import Standing


class Command(BaseCommand):
    help = "Show the limits that NOTIFICATIONS_LIMITS declares, what waits for its turn, and which hosts are down."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        parser.add_argument(
            "--try-now", metavar="GATE", help="have the next delivery try a host that is down, such as email:host:587"
        )

        parser.add_argument(
            "--space-anew", metavar="GATE", help="give what waits for a limit its new pace, after it was raised"
        )

    def handle(self, *, as_json: bool, try_now: str | None, space_anew: str | None, **_: Any) -> None:
        if try_now is not None and space_anew is not None:
            raise CommandError("One at a time: give --try-now or --space-anew.")
        if try_now is not None:
            self._try(self._known(try_now))
            return
        if space_anew is not None:
            count = deciding.space_anew(self._known(space_anew))
            self.stdout.write(f"{count:,} that waited come back at today's pace, from now on.")
            return
        found = standing.standings()
        if as_json:
            self.stdout.write(json.dumps([_document(one) for one in found], indent=2))
        else:
            self._show(found)

    def _known(self, name: str) -> str:
        known = [one.name for one in standing.standings()]
        if name.casefold() not in known:
            raise CommandError(f"There is no gate {name!r}; use one of {', '.join(known)}.")
        return name.casefold()

    def _try(self, name: str) -> None:
        if not deciding.try_now(name):
            raise CommandError(f"{name} is not down; there is nothing to try.")
        self.stdout.write(f"One delivery tries {name} now. If it answers, what waits goes out in its turn.")

    def _show(self, found: list[Standing]) -> None:
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        table = Table(title="Limits", title_justify="left")
        for heading in ("Gate", "Limit", "Host", "Waiting"):
            table.add_column(heading, no_wrap=True)
        for one in found:
            limit, host = str(one.limit) if one.limit else "none", "down" if one.down_since else ""
            table.add_row(one.name, limit, host, one.waiting_words or "-", style="red" if one.down_since else None)
        console.print(table)
        for one in found:
            if one.sentence:
                console.print(one.sentence, style="red", markup=False, highlight=False)


def _document(one: Standing) -> dict[str, Any]:
    return {
        "gate": one.name,
        "limit": str(one.limit) if one.limit else None,
        "down_since": one.down_since.isoformat() if one.down_since else None,
        "tried_at": one.probe_at.isoformat() if one.probe_at else None,
        "error": one.error or None,
        "waiting": {line.lane: {"about": line.count, "until": line.until.isoformat()} for line in one.lines},
    }
