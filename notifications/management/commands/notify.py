"""``manage.py notify``: one e-mail for each row of a CSV file of recipients."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from notifications import merge, recipients
from notifications.lanes import lanes as known_lanes
from notifications.mailing import Interrupted, Mailing, Outcome, Rejects
from notifications.merge import Email
from notifications.recipients import Recipients, Unusable
from routing.domains import DEFAULT_LANE

SHOWN = 20
"""Refused rows named on the terminal; --rejects keeps them all."""

SOME_REFUSED, NOTHING_SENT = 1, 2


@dataclass
class Tally:
    sent: int = 0
    refused: int = 0
    shown: list[Outcome] = field(default_factory=list)
    first: Email | None = None

    def count(self, outcome: Outcome) -> None:
        if outcome.message:
            self.sent += 1
            self.first = self.first or outcome.message
        else:
            self.refused += 1
            if len(self.shown) < SHOWN:
                self.shown.append(outcome)


class Command(BaseCommand):
    help = (
        "Send one e-mail for each row of a CSV file of recipients. Rows that cannot be sent are refused by line. "
        "Exit status: 0 all sent, 1 some refused or not reached, 2 nothing sent."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        lanes = known_lanes()
        parser.add_argument("--csv", required=True, type=Path, metavar="FILE", help="the recipients, with a heading")
        parser.add_argument(
            "--subject", required=True, help='a template of one line, such as "Hello {{ name }}"; columns are variables'
        )
        parser.add_argument("--template", required=True, help="the text: a file, or a template of an app")
        parser.add_argument(
            "--html-template", metavar="TEMPLATE", help="the same as HTML, for mail readers that show it"
        )
        parser.add_argument("--column", default="email", help="which column has the address (default: email)")
        parser.add_argument("--lane", default=DEFAULT_LANE, choices=lanes, help="the queue (default: %(default)s)")
        parser.add_argument("--from-line", type=int, default=1, metavar="N", help="go on where an earlier run stopped")
        parser.add_argument("--rejects", type=Path, metavar="FILE", help="write refused rows to a CSV file")
        parser.add_argument("--allow-duplicates", action="store_true", help="send to an address more than once")
        parser.add_argument(
            "--dry-run", action="store_true", help="check everything, show the first e-mail, send nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        tally = Tally()
        try:
            mailing = self._mailing(options)
            stopped = self._send(mailing, tally, options["rejects"])
        except Unusable as error:
            raise CommandError(str(error), returncode=NOTHING_SENT) from None
        self._report(tally, dry_run=options["dry_run"], rejects=options["rejects"])
        if stopped:
            raise CommandError(stopped, returncode=SOME_REFUSED if tally.sent else NOTHING_SENT)
        if not tally.sent + tally.refused:
            raise CommandError(
                f"{options['csv']} has no row from line {mailing.from_line} on.", returncode=NOTHING_SENT
            )
        if tally.refused:
            sys.exit(SOME_REFUSED if tally.sent else NOTHING_SENT)

    def _mailing(self, options: dict[str, Any]) -> Mailing:
        rows = recipients.read(options["csv"], column=options["column"])
        if rows.encoding in ("cp1252", "latin-1"):
            self.stderr.write(
                f"{rows.path} is not written in UTF-8; it is read as Western European ({rows.encoding}). "
                "Look at the names with --dry-run."
            )
        return Mailing(
            recipients=rows,
            merge=merge.load(subject=options["subject"], text=options["template"], html=options["html_template"]),
            lane=options["lane"],
            from_line=options["from_line"],
            allow_duplicates=options["allow_duplicates"],
            dry_run=options["dry_run"],
        )

    def _send(self, mailing: Mailing, tally: Tally, rejects: Path | None) -> str:
        """Empty if it came to the end; else why it stopped, and how to go on."""
        with ExitStack() as stack:
            kept = stack.enter_context(Rejects(rejects, mailing.recipients)) if rejects else None
            bar, task = self._progress(stack, mailing.recipients)
            stop = stack.enter_context(_stop_after_the_current_row())
            try:
                for outcome in mailing.run():
                    tally.count(outcome)
                    if kept and not outcome.message:
                        kept.add(outcome)
                    line = outcome.row.last_line
                    bar.update(task, completed=line, description=f"{tally.sent:,} sent, {tally.refused:,} refused")
                    if stop.is_set():
                        return f"Stopped after line {line}, as you asked. {_go_on(line + 1)}"
            except Interrupted as error:
                return f"Stopped at line {error.line}: {error}. {_go_on(error.line)}"
        return ""

    def _progress(self, stack: ExitStack, rows: Recipients) -> tuple[Progress, TaskID]:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("line"),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        bar = stack.enter_context(Progress(*columns, console=console, transient=True, disable=not console.is_terminal))
        return bar, bar.add_task("0 sent", total=rows.lines)

    def _report(self, tally: Tally, *, dry_run: bool, rejects: Path | None) -> None:
        if dry_run and tally.first:
            self.stdout.write(_preview(tally.first))
        for outcome in tally.shown:
            self.stdout.write(f"Line {outcome.row.line}: {outcome.reason}.")
        if tally.refused > len(tally.shown):
            more = "; see that file" if rejects else "; --rejects FILE would list them all"
            self.stdout.write(f"… and {tally.refused - len(tally.shown):,} more{more}.")
        self.stdout.write(f"{'Would send' if dry_run else 'Sent'} {tally.sent:,}, refused {tally.refused:,}.")


@contextmanager
def _stop_after_the_current_row() -> Iterator[threading.Event]:
    """Ctrl-C, in the middle of a row, would leave open whether it was sent."""
    stop = threading.Event()
    usual = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)


def _go_on(line: int) -> str:
    return f"What was sent stays sent; go on with the same command and --from-line {line}."


def _preview(message: Email) -> str:
    html = f"\n{message.html}" if message.html else ""
    return f"To: {message.to}\nSubject: {message.subject}\n\n{message.text}{html}\n{'-' * 72}"
