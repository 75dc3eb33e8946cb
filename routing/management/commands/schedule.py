"""``manage.py schedule list|slots|run|pause|resume``: what runs by itself, and what became of it."""

import argparse
import json
from shlex import quote
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError
from rich.console import Console

from routing.console import lives
from routing.console.schedule_life import due_words
from routing.console.schedule_rows import entry_rows, slot_rows
from routing.console.schedule_verdict import schedule_verdict
from routing.ledger import database, processes
from routing.management import schedule_text
from routing.schedule import by_hand, operating
from routing.schedule.by_hand import Refused

MOST = 10_000
LONGEST_BY = 255
TONES = {"good": "green", "look": "yellow", "bad": "red"}


class Command(BaseCommand):
    help = (
        "Show the entries of the schedule and what became of their due times; run one now, pause one, or resume it. "
        "Exit status: 0 done or shown, 1 refused. Whether all is well, status tells by its own."
    )
    # It may be called when something is wrong; a failing check must not hide what.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|slots|run|pause|resume")
        listing = _verb(verbs, "list", "Each entry: whether it is all right, when it is due next, and its last run.")
        listing.add_argument("--removed", action="store_true", help="those that have left the code, too")
        slots = _verb(verbs, "slots", "What became of the last due times, the newest first.")
        slots.add_argument("entry", nargs="?", default="", metavar="ENTRY", help="of this entry; of all, if left out")
        slots.add_argument("--limit", type=_count, default=20, metavar="N", help="at most so many (20)")
        run = _verb(verbs, "run", "Enqueue an entry's task once, now. What is due by the schedule comes as before.")
        pause = _verb(verbs, "pause", "Fire nothing of an entry; what is due meanwhile is recorded as missed.")
        pause.add_argument("--reason", required=True, help="why, for whoever finds it paused")
        resume = _verb(verbs, "resume", "Go on with what is due from now on.")
        for one in (run, pause, resume):
            one.add_argument("entry", metavar="ENTRY", help="its name in CELERY_BEAT_SCHEDULE, such as clean-up")
            one.add_argument("--by", default="", metavar="NAME", help="who asks; by default, who is logged in")

    def handle(self, *, verb: str, **options: Any) -> None:
        deed = {
            "list": self._list,
            "slots": self._slots,
            "run": self._run,
            "pause": self._pause,
            "resume": self._resume,
        }
        try:
            deed[verb](options)
        except Refused as error:
            raise CommandError(str(error)) from None
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database cannot be used: {error}".strip()) from None

    def _list(self, options: dict[str, Any]) -> None:
        seen = lives.look()
        verdict = schedule_verdict(seen)
        plans = operating.plans(removed=True) if options["removed"] else seen.schedule.plans
        rows = entry_rows(seen.schedule, plans=plans)
        if options["as_json"]:
            document = {"status": verdict.tone, "sentence": verdict.sentence, "details": verdict.details}
            self._print({**document, "entries": [schedule_text.entry_document(row) for row in rows]})
            return
        console = self._console()
        if rows:
            console.print(schedule_text.entry_table(rows))
        for sentence in (verdict.sentence, *verdict.details):
            console.print(sentence, style=TONES[verdict.tone], markup=False, highlight=False)

    def _slots(self, options: dict[str, Any]) -> None:
        name, limit = options["entry"], options["limit"]
        if name:
            by_hand.require(name)
        found = operating.last_slots(name, limit=limit)
        rows = slot_rows(found, plans=operating.plans(removed=True), at=database.now())
        if options["as_json"]:
            self._print({"slots": [schedule_text.slot_document(row) for row in rows]})
            return
        if not rows:
            self.stdout.write(f"{name} has not been due yet." if name else "No entry has been due yet.")
            return
        console = self._console()
        console.print(schedule_text.slot_table(rows))
        if left_out := schedule_text.shown(len(rows), limit):
            console.print(left_out, highlight=False)

    def _run(self, options: dict[str, Any]) -> None:
        name = options["entry"]
        ran = by_hand.run(name, by=_who(options))
        if options["as_json"]:
            self._print({"entry": name, "task_id": ran.task_id, "enqueued": not ran.has_joined})
        elif ran.has_joined:
            self.stdout.write(
                f"{name} is in flight already, as {ran.task_id}: its task has a unique key. Nothing new was enqueued."
            )
        else:
            self.stdout.write(
                f"{name} is enqueued as {ran.task_id}. What becomes of it: manage.py schedule slots {quote(name)}"
            )

    def _pause(self, options: dict[str, Any]) -> None:
        name = options["entry"]
        changed = by_hand.pause(name, by=_who(options), reason=options["reason"])
        said = f"{name} is paused: nothing of it is fired until manage.py schedule resume {quote(name)}."
        entry = operating.plan(name).entry
        self._tell(options, changed, said, f"It was paused already, by {entry.paused_by}: {entry.pause_reason}")

    def _resume(self, options: dict[str, Any]) -> None:
        name = options["entry"]
        changed = by_hand.resume(name, by=_who(options))
        plan = operating.plan(name)
        coming = f" Next: {due_words(plan, at=database.now())}." if plan.next_due else ""
        self._tell(options, changed, f"{name} goes on.{coming}", f"{name} is not paused, so nothing has changed.")

    def _tell(self, options: dict[str, Any], changed: bool, done: str, left: str) -> None:
        if options["as_json"]:
            self._print({"entry": options["entry"], "changed": changed})
        else:
            self.stdout.write(done if changed else left)

    def _print(self, document: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(document, indent=2))

    def _console(self) -> Console:
        return Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]


def _verb(verbs: Any, name: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=description.partition(".")[0].lower(), description=description
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
    return parser


def _who(options: dict[str, Any]) -> str:
    """Raises Refused."""
    by = str(options["by"] or processes.whoever()).strip()
    if not by or "\0" in by or len(by) > LONGEST_BY:
        raise Refused(f"--by must be text of 1 to {LONGEST_BY} characters.")
    return by


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST and len(text) < 9):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of slots: use 1 to {MOST:,}.")
    return int(text)
