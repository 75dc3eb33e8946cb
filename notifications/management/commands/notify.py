"""``manage.py notify``: one e-mail for each row of a CSV file of recipients."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from notifications import again, categories, merge, recipients, services
from notifications.content import Content
from notifications.lanes import lanes as known_lanes
from notifications.mailing import FEW, Judged, Mailing, require_few
from notifications.many import Batch
from notifications.problems import InvalidNotification
from notifications.recipients import Row, Unusable
from notifications.rejects import Rejects
from notifications.tables import Notification
from routing.domains import DEFAULT_LANE

SHOWN = 20
"""Refused rows named on the terminal; --rejects keeps them all."""

SOME_REFUSED, NOTHING_SENT = 1, 2


class Stopped(Exception):
    """Before all was stored; ``str()`` says why."""


@dataclass(frozen=True)
class Run:
    """``stopped`` says why it was not sent to all; ``before`` that another run had done so already."""

    notification: Notification | None = None
    stopped: str = ""
    before: bool = False


class Report:
    """What is told in the end: the counts, the first e-mail, and the first of the refused rows."""

    def __init__(self) -> None:
        self.sent = self.refused = 0
        self.shown: list[tuple[int, str]] = []
        self.first: Content | None = None
        self.to = ""

    def refuse(self, row: Row, reason: str) -> None:
        self.refused += 1
        if len(self.shown) < SHOWN:
            self.shown.append((row.line, reason))

    @property
    def status(self) -> int:
        if not self.refused:
            return 0
        return SOME_REFUSED if self.sent else NOTHING_SENT


class Command(BaseCommand):
    help = (
        "Send one e-mail for each row of a CSV file of recipients. Rows that cannot be sent are refused by line. "
        "The same command again sends nothing twice, and goes on where it was stopped. "
        "Exit status: 0 all sent, 1 some refused or not reached, 2 nothing sent."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        lanes, names = known_lanes(), list(categories.registry())
        parser.add_argument("--csv", required=True, type=Path, metavar="FILE", help="the recipients, with a heading")
        parser.add_argument(
            "--template", required=True, help="the text: a file, a template of an app, or one of the admin"
        )
        parser.add_argument(
            "--subject", help='a template of one line, such as "Hello {{ name }}"; columns are variables'
        )
        parser.add_argument(
            "--html-template", metavar="TEMPLATE", help="the same as HTML, for mail readers that show it"
        )
        parser.add_argument("--column", default="email", help="which column has the address (default: email)")
        parser.add_argument("--lane", default=DEFAULT_LANE, choices=lanes, help="the queue (default: %(default)s)")
        parser.add_argument(
            "--category",
            choices=names,
            help=f"why they are written to; may be left out for up to {FEW} recipients ({categories.default()})",
        )
        spoken, about = list(dict(settings.LANGUAGES)), "what they read, unless a column language says it of each"
        parser.add_argument("--language", choices=spoken, help=about)
        parser.add_argument("--send-at", metavar="TIME", help='not before, such as "2030-01-31 09:00"')
        parser.add_argument("--rejects", type=Path, metavar="FILE", help="write refused rows to a CSV file")
        parser.add_argument("--allow-duplicates", action="store_true", help="send to an address more than once")
        parser.add_argument("--from-line", type=int, default=1, metavar="N", help="leave out what is above line N")
        parser.add_argument("--key", help="a name for this mailing, in place of what the file and the templates say")
        parser.add_argument("--again", action="store_true", help="send it anew, to everybody, on purpose")
        parser.add_argument(
            "--dry-run", action="store_true", help="check everything, show the first e-mail, send nothing"
        )
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the outcome for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        report = Report()
        try:
            mailing = self._mailing(options)
            send_at = _moment(options["send_at"])
            with ExitStack() as stack:
                path = options["rejects"]
                kept = stack.enter_context(Rejects(path, mailing.recipients)) if path else None
                if options["dry_run"]:
                    run = Run(stopped=self._check(stack, mailing, report, kept))
                else:
                    run = self._send(mailing, send_at, options)
                    _recall(run.notification, mailing, report, kept)
        except (Unusable, InvalidNotification) as error:
            raise CommandError(str(error), returncode=NOTHING_SENT) from None
        if options["as_json"]:
            self.stdout.write(json.dumps(_document(report, run)))
        else:
            self._tell(report, run, options)
        if run.stopped:
            raise CommandError(run.stopped, returncode=SOME_REFUSED if report.sent else NOTHING_SENT)
        if report.status:
            sys.exit(report.status)

    def _mailing(self, options: dict[str, Any]) -> Mailing:
        rows = recipients.read(options["csv"], column=options["column"])
        if rows.encoding in ("cp1252", "latin-1"):
            self.stderr.write(
                f"{rows.path} is not written in UTF-8; it is read as Western European ({rows.encoding}). "
                "Look at the names with --dry-run."
            )
        mailing = Mailing(
            recipients=rows,
            merge=merge.load(subject=options["subject"], text=options["template"], html=options["html_template"]),
            from_line=options["from_line"],
            allow_duplicates=options["allow_duplicates"],
        )
        mailing.merge.require(rows.names)
        if next(mailing.rows(), None) is None:
            raise Unusable(f"{rows.path} has no row from line {mailing.from_line} on.")
        if options["category"] is None:
            require_few(mailing)
        return mailing

    def _check(self, stack: ExitStack, mailing: Mailing, report: Report, kept: Rejects | None) -> str:
        """Empty if it came to the end; else why it stopped."""
        stop = stack.enter_context(_stop_at_ctrl_c())
        for judged in self._watched(stack, mailing):
            if judged.problem:
                report.refuse(judged.row, judged.problem)
                if kept:
                    kept.add(judged.row, judged.problem)
            else:
                report.sent += 1
                if report.first is None:
                    report.to, report.first = judged.to, mailing.merge.finished(dict(judged.context))
            if stop.is_set():
                return f"Stopped after line {judged.row.last_line}, as you asked. Nothing was sent."
        return ""

    def _send(self, mailing: Mailing, send_at: datetime | None, options: dict[str, Any]) -> Run:
        found = _found(mailing, options)
        with ExitStack() as stack:
            stop = stack.enter_context(_stop_at_ctrl_c())

            def stop_if_asked(batch: Batch) -> None:
                if stop.is_set():
                    raise Stopped(f"Stopped after {batch.consumed:,} rows, as you asked.")

            try:
                notification = services.notify_many(
                    self._watched(stack, mailing),
                    key=found.key,
                    lane=options["lane"],
                    language=options["language"] or "",
                    category=options["category"] or categories.default(),
                    send_at=send_at,
                    created_by=f"manage.py notify --csv {mailing.recipients.path.name}"[:200],
                    allow_duplicates=mailing.allow_duplicates,
                    on_batch=stop_if_asked,
                    **mailing.merge.draft,
                )
            except Stopped as stopped:
                return Run(Notification.objects.get(key=found.key), f"{stopped} {_GO_ON}")
            except (OperationalError, InterfaceError) as error:
                raise CommandError(
                    f"Stopped: the database cannot be reached ({str(error).strip()}). {_GO_ON}", returncode=SOME_REFUSED
                ) from error
        if notification.cancelled_at:
            return Run(notification, "It has been cancelled: who was not written to yet will not be.")
        return Run(notification, before=bool(found.notification and found.notification.is_complete))

    def _watched(self, stack: ExitStack, mailing: Mailing) -> Iterator[Judged]:
        """The rows, and on a terminal how far they are."""
        bar, task = self._progress(stack, mailing.recipients.lines)
        for judged in mailing:
            bar.update(task, completed=judged.row.last_line)
            yield judged

    def _progress(self, stack: ExitStack, lines: int) -> tuple[Progress, TaskID]:
        console = Console(stderr=True)
        columns = (TextColumn("line"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        bar = stack.enter_context(Progress(*columns, console=console, transient=True, disable=not console.is_terminal))
        return bar, bar.add_task("", total=lines)

    def _tell(self, report: Report, run: Run, options: dict[str, Any]) -> None:
        if report.first:
            self.stdout.write(_preview(report.to, report.first))
        for line, reason in report.shown:
            self.stdout.write(f"Line {line}: {reason}.")
        if report.refused > len(report.shown):
            more = "; see that file" if options["rejects"] else "; --rejects FILE would list them all"
            self.stdout.write(f"… and {report.refused - len(report.shown):,} more{more}.")
        verb = "Would send" if options["dry_run"] else "Sent before:" if run.before else "Sent"
        self.stdout.write(f"{verb} {report.sent:,}, refused {report.refused:,}.")
        if run.before:
            self.stdout.write("Nothing is sent twice; --again sends it anew, to everybody.")
        if run.notification:
            self.stdout.write(f"Notification {run.notification.pk}: its page in the admin tells what becomes of each.")


_GO_ON = "What was sent stays sent; the same command goes on with the rest."


def _found(mailing: Mailing, options: dict[str, Any]) -> again.Found:
    """Raises Unusable where it was sent before, in a way that the options do not fit."""
    whole = Mailing(recipients=mailing.recipients, merge=mailing.merge)
    if mailing.from_line > 1 and options["key"] is None and not options["again"]:
        begun = again.find(whole.key(), again=False).notification
        if begun and not begun.is_complete:
            raise Unusable(
                f"This mailing was stopped after row {begun.consumed:,}. The same command without --from-line goes on "
                "there, and sends nothing twice; --again sends from that line on anew."
            )
    return again.find(mailing.key() if options["key"] is None else options["key"], again=options["again"])


def _recall(notification: Notification | None, mailing: Mailing, report: Report, kept: Rejects | None) -> None:
    """Of all its runs, not of this one alone."""
    if notification is None:
        return
    report.sent = notification.recipients
    for row, reason in mailing.refused(notification):
        report.refuse(row, reason)
        if kept:
            kept.add(row, reason)


@contextmanager
def _stop_at_ctrl_c() -> Iterator[threading.Event]:
    """Between two batches."""
    stop = threading.Event()
    usual = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)


def _moment(text: str | None) -> datetime | None:
    """Raises Unusable."""
    if text is None:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise Unusable(f"--send-at {text!r} is no point in time. Write it such as 2030-01-31 09:00.")
    return timezone.make_aware(found) if timezone.is_naive(found) else found


def _document(report: Report, run: Run) -> dict[str, Any]:
    notification = run.notification
    return {
        "notification": str(notification.pk) if notification else None,
        "key": notification.key if notification else None,
        "sent": report.sent,
        "refused": report.refused,
        "complete": bool(notification and notification.is_complete),
        "stopped": run.stopped or None,
        "before": run.before,
    }


def _preview(to: str, said: Content) -> str:
    html = f"\n{said.html}" if said.html else ""
    return f"To: {to}\nSubject: {said.subject}\n\n{said.text}{html}\n{'-' * 72}"
