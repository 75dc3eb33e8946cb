"""``manage.py dead_letters list|show|replay|discard|restore``: what failed for good or could not be processed."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from celery import current_app
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils import timezone
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from routing.ledger import database, fingerprint, processes
from routing.ledger.replay import discard, replay, restore
from routing.ledger.selection import DEAD, Selection
from routing.ledger.tables import DeadLetter
from routing.management import bulk, letter_text, reachable, selecting

THINGS, IDS = "dead letters", "numbers of dead letters, or ids of their tasks"
NAMED = 20
GROUPED = {"task": "Task", "reason": "Reason", "fingerprint": ""}
State = DeadLetter.State


class Command(BaseCommand):
    help = "List, show, replay, discard or take back what failed for good or could not be processed."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|replay|discard|restore")
        listing = verbs.add_parser("list", help="the newest first", description="List dead letters, the newest first.")
        selecting.add_options(listing, states=DEAD, things=THINGS, ids=IDS)
        listing.add_argument("--limit", type=_positive, default=20, metavar="N", help="at most so many (20)")
        listing.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        showing = verbs.add_parser("show", help="one, with its message", description="Show a dead letter.")
        showing.add_argument("id", metavar="ID", help="its number, or the id of its task")
        how = showing.add_mutually_exclusive_group()
        how.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        how.add_argument("--body", action="store_true", help="print the body, byte for byte, to be kept in a file")
        self._add_decision(verbs, "replay", (State.OPEN, State.DISCARDED), "Enqueue them anew, under new ids.")
        self._add_decision(verbs, "discard", (State.OPEN,), "Mark them as done with; the clean-up removes them later.")
        self._add_decision(verbs, "restore", (State.DISCARDED,), "Take back the discarding; they are open again.")

    def _add_decision(self, verbs: Any, verb: str, states: Sequence[str], description: str) -> None:
        parser = verbs.add_parser(verb, help=description.partition(";")[0].rstrip(".").lower(), description=description)
        selecting.add_options(parser, states=[str(state) for state in states], things=f"open {THINGS}", ids=IDS)
        bulk.add_options(parser)

    def handle(self, *, verb: str, **options: Any) -> None:
        act = {
            "list": self._list,
            "show": self._show,
            "replay": self._replay,
            "discard": self._discard,
            "restore": self._restore,
        }[verb]
        with reachable.database(also="" if verb in ("list", "show") else reachable.NOTHING_IS_LOST):
            act(options)

    def _list(self, options: dict[str, Any]) -> None:
        rows = _chosen(selecting.selection_of(options, needs_all=False)).defer("headers", "properties", "body", "raw")
        count, found = rows.count(), list(rows.order_by("-dead_at", "-pk")[: options["limit"]])
        if options["as_json"]:
            document = {"matched": count, "dead_letters": [_row(letter) for letter in found]}
            self.stdout.write(json.dumps(document, indent=2))
            return
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        if found:
            console.print(_table(found))
        console.print(_told(count, len(found)), highlight=False)

    def _show(self, options: dict[str, Any]) -> None:
        found = list(_chosen(Selection(ids=(options["id"],))).order_by("pk"))
        if not found:
            raise CommandError(f"There is no dead letter {options['id']!r}. dead_letters list names the newest.")
        if options["body"]:
            sys.stdout.flush()
            sys.stdout.buffer.write(found[-1].content)
        elif options["as_json"]:
            self.stdout.write(json.dumps(letter_text.as_json(found[-1]), indent=2))
        else:
            self.stdout.write(letter_text.as_text(found[-1]))
            if len(found) > 1:
                others = ", ".join(str(letter.pk) for letter in found[:-1])
                self.stdout.write(f"\nThis task has earlier dead letters, too: {others}.")

    def _replay(self, options: dict[str, Any]) -> None:
        # What a task asks for, such as to start at most once, its code knows.
        current_app.loader.import_default_modules()
        self._decide("replay", replay, options)

    def _discard(self, options: dict[str, Any]) -> None:
        self._decide("discard", discard, options)

    def _restore(self, options: dict[str, Any]) -> None:
        self._decide("restore", restore, options, of=State.DISCARDED)

    def _tell_decided(self, selection: Selection) -> None:
        """Of what was named one by one, whatever is decided already. Raises CommandError where that is all of it."""
        if not selection.ids:
            return
        others = _chosen(replace(selection, state="")).exclude(state=selection.state).order_by("pk")
        told = "\n".join(map(_decision, others.defer("headers", "properties", "body", "raw")[:NAMED]))
        if told and not _chosen(selection).exists():
            raise CommandError(told)
        if told:
            self.stderr.write(told)

    def _decide(
        self, verb: str, decide: Callable[..., Any], options: dict[str, Any], *, of: DeadLetter.State = State.OPEN
    ) -> None:
        selection = selecting.selection_of(options)
        selection = replace(selection, state=selection.state or of.value)
        self._tell_decided(selection)
        rows, by = _chosen(selection), f"{processes.whoever()} (command line)"
        fingerprint.work_out()
        deed = bulk.Deed(
            verb=verb,
            thing=f"{selection.state} dead letter",
            things=f"{selection.state} {THINGS}",
            rows=rows,
            by=GROUPED,
            example=("error", "Error, of one of them"),
            act=lambda keys: decide(keys, by=by),
            notes=[note for note in [_chords(rows)] if note and verb == "replay"],
        )
        bulk.run(self, deed, dry_run=options["dry_run"], yes=options["yes"], as_json=options["as_json"])


def _decision(letter: DeadLetter) -> str:
    at = timezone.localtime(letter.decided_at).strftime("%d %b %Y %H:%M") if letter.decided_at else "some time ago"
    if letter.state == State.OPEN:
        return f"Dead letter {letter.pk} is open."
    done = f"replayed as {letter.replayed_as}," if letter.replayed_as else letter.state
    again = f" To replay it all the same: --state {State.DISCARDED}" if letter.state == State.DISCARDED else ""
    return f"Dead letter {letter.pk} was {done} at {at}, by {letter.decided_by or 'somebody'}.{again}"


def _chosen(selection: Selection) -> "QuerySet[DeadLetter]":
    return selection.dead_letters(at=database.now())


def _chords(rows: "QuerySet[DeadLetter]") -> str:
    count = rows.filter(body__contains='"chord": {').count()
    if not count:
        return ""
    return (
        f"{count:,} of them {'is a member of a chord' if count == 1 else 'are members of chords'}. A chord that still "
        "waits for other members takes the replay in; one that is over does not, and the replay runs by itself."
    )


def _table(letters: Sequence[DeadLetter]) -> Table:
    table = Table(show_lines=True)
    table.add_column("No.", justify="right", no_wrap=True)
    table.add_column("Task, reason and error", overflow="fold", ratio=1)
    table.add_column("Set aside")
    table.add_column("State", no_wrap=True)
    for letter in letters:
        what, error = f"{letter.task or '-'}: {letter.reason}", (letter.error or "").strip().partition("\n")[0]
        set_aside = str(naturaltime(letter.dead_at)).replace("\xa0", " ")
        table.add_row(str(letter.pk), escape(f"{what}\n{error}"), set_aside, letter.state)
    return table


def _row(letter: DeadLetter) -> dict[str, Any]:
    names = ("task_id", "task", "domain", "queue", "reason", "error", "fingerprint", "state", "replayed_as")
    known = {name: getattr(letter, name) for name in names}
    return {"id": letter.pk, "dead_at": letter.dead_at.isoformat(), **known}


def _told(count: int, shown: int) -> str:
    if not count:
        return "There are no such dead letters."
    one = "1 dead letter" if count == 1 else f"{count:,} dead letters"
    return f"{one}." if shown == count else f"{one}, the newest {shown:,} of them shown. --limit shows more."


def _positive(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100000.")
    return int(text)
