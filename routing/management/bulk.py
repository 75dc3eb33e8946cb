"""Something done to many rows: told first, confirmed, and done batch by batch, so that it can be stopped and go on."""

import argparse
import json
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from routing.ledger.selection import BATCH, Summary, batches, summary

INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Deed:
    """``verb`` and ``things`` as in "replay 3 dead letters". ``act`` does it to a batch of primary keys in short
    transactions and returns how many came to which outcome, such as ``{"replayed": 2, "replayed by another": 1}``.

    ``by``: the columns by which it is told what would happen, with their headings; one without a heading is not shown.
    ``example``: a further column and its heading, of which each group shows one value.
    """

    verb: str
    thing: str
    things: str
    rows: QuerySet[Any]
    by: Mapping[str, str]
    act: Callable[[Sequence[Any]], Mapping[str, int]]
    example: tuple[str, str] = ("", "")
    batch: int = BATCH
    notes: Sequence[str] = ()
    """What else somebody ought to know before he says yes."""

    @property
    def columns(self) -> dict[str, str]:
        """Those that are shown, with their headings."""
        return {name: heading for name, heading in [*self.by.items(), self.example] if heading}


@dataclass
class Done:
    outcomes: Counter[str] = field(default_factory=Counter)
    complete: bool = True

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())


def add_options(parser: argparse.ArgumentParser) -> None:
    """What ``run`` reads."""
    parser.add_argument("--dry-run", action="store_true", help="tell what would happen, and do nothing")
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")


def run(command: BaseCommand, deed: Deed, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Tell, ask, do. Raises CommandError where nobody can be asked, and SystemExit after Ctrl-C."""
    if as_json and not (dry_run or yes):
        raise CommandError("A program cannot be asked: give --json together with --dry-run or --yes.")
    console = Console(file=command.stdout, soft_wrap=True)  # type: ignore[arg-type]
    found = summary(deed.rows, by=tuple(deed.by), example=deed.example[0])
    if not as_json:
        _show(console, deed, found)
    done = None
    if found.total and not dry_run:
        if not yes and not _confirmed(command, deed, found):
            command.stdout.write("Nothing was done.")
            return
        done = _do(command, deed, found)
    if as_json:
        command.stdout.write(json.dumps(_document(found, done, dry_run=dry_run), indent=2, default=str))
    elif done:
        _report(console, deed, found, done)
    if done and not done.complete:
        raise SystemExit(INTERRUPTED)


def _show(console: Console, deed: Deed, found: Summary) -> None:
    if not found.total:
        console.print(f"There are no such {deed.things}.")
        return
    table = Table(title=f"To {deed.verb}", title_justify="left")
    for heading in deed.columns.values():
        table.add_column(heading, overflow="fold")
    table.add_column("How many", justify="right", no_wrap=True)
    for group in found.groups:
        table.add_row(*(escape(_cell(group.values[name])) for name in deed.columns), f"{group.count:,}")
    if found.unnamed:
        table.add_row("others", *[""] * (len(deed.columns) - 1), f"{found.unnamed:,}")
    console.print(table)
    console.print(f"{_counted(deed, found.total)} in all.", highlight=False)
    for note in deed.notes:
        console.print(note, markup=False, highlight=False)


def _cell(value: Any) -> str:
    lines = str("-" if value in (None, "") else value).strip().splitlines() or ["-"]
    return lines[0] if len(lines[0]) <= 100 else f"{lines[0][:99]}…"


def _confirmed(command: BaseCommand, deed: Deed, found: Summary) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("Nothing was done, as there is nobody to ask. Add --yes to do it, or --dry-run.")
    command.stdout.write(f"{deed.verb.capitalize()} {_counted(deed, found.total)}? [y/N] ", ending="")
    command.stdout.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        command.stdout.write("")
        return False


def _do(command: BaseCommand, deed: Deed, found: Summary) -> Done:
    done = Done()
    with interruption() as interrupted, _progress(command, found.total) as advance:
        for keys in batches(deed.rows, size=deed.batch):
            if interrupted:
                done.complete = False
                break
            try:
                done.outcomes.update(deed.act(keys))
            except KeyboardInterrupt:
                # Of this batch, some may be done and are not counted.
                done.complete = False
                break
            advance(len(keys))
    return done


@contextmanager
def interruption() -> Iterator[list[int]]:
    """Something falls into the list at Ctrl-C. A second one ends the program; the batch at hand is then undone."""
    stopped: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(command: BaseCommand, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(file=command.stderr, stderr=True)  # type: ignore[arg-type]
    with Progress(*columns, console=console, transient=True, disable=not command.stderr.isatty()) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


def _report(console: Console, deed: Deed, found: Summary, done: Done) -> None:
    for outcome, count in done.outcomes.items():
        console.print(f"{count:>10,}  {outcome}", markup=False, highlight=False)
    if not done.complete:
        console.print(
            f"Stopped after {done.total:,} of {_counted(deed, found.total)}. The same command goes on with the rest.",
            style="yellow",
            highlight=False,
        )


def _document(found: Summary, done: Done | None, *, dry_run: bool) -> dict[str, Any]:
    return {
        "matched": found.total,
        "groups": [{**group.values, "count": group.count} for group in found.groups],
        "others": found.unnamed,
        "dry_run": dry_run,
        "done": dict(done.outcomes) if done else {},
        "complete": done is None or done.complete,
    }


def _counted(deed: Deed, count: int) -> str:
    return f"{count:,} {deed.thing if count == 1 else deed.things}"
