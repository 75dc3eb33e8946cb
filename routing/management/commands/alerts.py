"""``manage.py alerts [test|watch]``: who is told what is wrong, what they have been told, and a test of it."""

import argparse
import json
import signal
import socket
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from routing.console.alerting import channels, letters, watch
from routing.console.alerting.channels import Channel
from routing.console.time_words import short
from routing.ledger import alerts
from routing.ledger.alert_tables import Alert
from routing.management import reachable

NOBODY = (
    "Nobody is told when something is wrong. Set TASKYARD_ALERTS_EMAIL=ops@example.com or "
    "TASKYARD_ALERTS_WEBHOOK=https://…, and restart relay and beat."
)


class Command(BaseCommand):
    help = (
        "Show who is told what is wrong, and what they have been told; or send each of them a test; or look and tell, "
        "as relays and beats do, until stopped. Exit status of a test: 0 all have taken it, 1 somebody has not."
    )
    # It is called when something is wrong; a failing check must not hide what.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        verbs = parser.add_subparsers(dest="verb", metavar="[test|watch]")
        verbs.add_parser("test", help="send everybody who would be told a test")
        verbs.add_parser("watch", help="look every few seconds and tell, for machines without relay and beat")

    def handle(self, *, verb: str | None, as_json: bool, **_: Any) -> None:
        ways = channels.declared()
        if verb is None:
            with reachable.database():
                self._list(ways, list(alerts.rows()), as_json=as_json)
            return
        if not ways:
            raise CommandError(NOBODY)
        if verb == "test":
            self._test(ways)
        else:
            self._watch(ways)

    def _list(self, ways: list[Channel], rows: list[Alert], *, as_json: bool) -> None:
        if as_json:
            told = {way.name: way.to for way in ways}
            document = {"told": told, "alerts": [_document(row) for row in rows]}
            self.stdout.write(json.dumps(document, indent=2, default=str))
            return
        if not ways:
            self.stdout.write(NOBODY)
        for way in ways:
            self.stdout.write(f"What is wrong is told by {way.name} to {way.to}.")
        if rows:
            Console(file=self.stdout, soft_wrap=True).print(_table(rows))  # type: ignore[arg-type]
        elif ways:
            self.stdout.write("Nothing is wrong, and nothing was these seven days.")

    def _test(self, ways: list[Channel]) -> None:
        letter, refused = letters.test(by=_who("manage.py alerts test")), False
        for way in ways:
            if error := channels.attempt(way, letter):
                refused = True
                self.stderr.write(f"Not taken, by {way.name} to {way.to}: {error}")
            else:
                self.stdout.write(f"Taken, by {way.name} to {way.to}.")
        if refused:
            raise SystemExit(1)

    def _watch(self, ways: list[Channel]) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        told = ", ".join(f"{way.name} to {way.to}" for way in ways)
        self.stdout.write(f"Looking every {watch.LOOK_EVERY:.0f} s; what is wrong is told by {told}.")
        watch.Watch(who=_who("alerts"), stop=stop, ways=ways).run()


def _who(name: str) -> str:
    return f"{name} on {socket.gethostname()}"


def _table(rows: list[Alert]) -> Table:
    table = Table(title="Alerts", title_justify="left")
    for heading in ("Since", "By", "State"):
        table.add_column(heading, no_wrap=True)
    table.add_column("What")
    for row in rows:
        since = timezone.localtime(row.began_at).strftime("%d %b %H:%M")
        what = f"{row.sentence}\nCould not be told: {row.error}" if row.error else row.sentence
        table.add_row(since, row.channel, _state(row), what, style="dim" if row.over_at else None)
    return table


def _state(row: Alert) -> str:
    if row.over_at:
        return f"over after {short(row.over_at - row.began_at)}"
    return "told" if row.told_at and row.told_at >= row.began_at else "not told yet"


def _document(row: Alert) -> dict[str, Any]:
    names = ("channel", "cause", "sentence", "began_at", "seen_at", "told_at", "times_told", "over_at", "error")
    return {name: getattr(row, name) for name in names}
