"""``manage.py cancel``: tasks in flight, by id or by filter, are REVOKED, in bounded memory and to be gone on with."""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from routing.ledger import database, processes, terminations
from routing.ledger.selection import IN_FLIGHT, Selection
from routing.ledger.terminations import Answer
from routing.management import bulk, reachable, selecting
from routing.worker import cancelling
from routing.worker.cancelling import Fate, Order

LONGEST_REASON = 1_000
ANSWERED_WITHIN = 15.0
LOOK_EVERY = 0.2

SENTENCES = {
    Fate.CANCELLED: "cancelled; it had not begun, and never will.",
    Fate.RUNS_ON: "cancelled; its body runs on, and nothing it comes to counts. --terminate would end it.",
    Fate.FINISHED: "not cancelled: it had come to its outcome.",
    Fate.UNKNOWN: "not cancelled: neither in flight nor finished.",
    Fate.FAILED: "not cancelled: the database refused it; the log says why.",
}
ENDINGS = {
    Answer.ENDED: "cancelled; its process was ended.",
    Answer.OVER: "cancelled; its body had just come to its end, which does not count.",
    Answer.UNABLE: "cancelled; its pool of threads cannot end a task, so it runs on, and nothing it comes to counts.",
    "": "cancelled; its worker ends it as soon as it reaches the database.",
}


class Command(BaseCommand):
    help = (
        "Cancel tasks in flight: REVOKED at once, whether or not workers are on. What has not begun never runs; what "
        "runs is ended with --terminate, and otherwise runs on for nothing. Exit status: 0 done, 1 refused, or an id "
        "was not in flight, 130 stopped by Ctrl-C."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        selecting.add_options(parser, states=IN_FLIGHT, things="tasks in flight")
        parser.add_argument("--terminate", action="store_true", help="end what runs, too")
        parser.add_argument(
            "--signal", default="TERM", metavar="NAME", help="with --terminate; SIGKILL follows in 10 s"
        )
        parser.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever finds the result")
        parser.add_argument("--by", default="", metavar="NAME", help="who asks; by default, who is logged in")
        bulk.add_options(parser)

    def handle(self, *, dry_run: bool, yes: bool, as_json: bool, **options: Any) -> None:
        order = _order(options)
        with reachable.database(also=reachable.NOTHING_IS_LOST):
            chosen = selecting.selection_of(options)
            if chosen.ids and chosen == Selection(ids=chosen.ids) and not dry_run:
                self._by_id(chosen.ids, order, as_json)
            else:
                bulk.run(self, _deed(chosen, order), dry_run=dry_run, yes=yes, as_json=as_json)

    def _by_id(self, task_ids: Sequence[str], order: Order, as_json: bool) -> None:
        """Who names them need not be asked."""
        fates = {task_id: cancelling.cancel(task_id, order) for task_id in dict.fromkeys(task_ids)}
        answers = _answers([task_id for task_id, fate in fates.items() if fate is Fate.ENDING])
        told = {task_id: _sentence(fate, answers.get(task_id, "")) for task_id, fate in fates.items()}
        if as_json:
            self.stdout.write(json.dumps({"tasks": [_document(one, fates[one], answers) for one in fates]}, indent=2))
        else:
            for task_id, sentence in told.items():
                self.stdout.write(f"{task_id}  {sentence}")
        if not all(fate.is_cancelled for fate in fates.values()):
            raise SystemExit(1)


def _order(options: Mapping[str, Any]) -> Order:
    by, note = options["by"].strip() or processes.whoever(), options["reason"].strip()
    for option, text, longest in (("--by", by, 255), ("--reason", note, LONGEST_REASON)):
        if len(text) > longest or "\0" in text:
            raise CommandError(f"{option} must be text of at most {longest:,} characters.")
    try:
        signal = cancelling.signal_named(options["signal"]) if options["terminate"] else None
    except ValueError as error:
        raise CommandError(str(error)) from None
    return Order(by=by, note=note, signal=signal)


def _deed(chosen: Selection, order: Order) -> bulk.Deed:
    rows = chosen.in_flight(at=database.now())
    running = rows.filter(owner__isnull=False).count()
    return bulk.Deed(
        verb="cancel",
        thing="task",
        things="tasks",
        rows=rows,
        by={"task": "Task", "queue": "Queue", "state": "State"},
        act=lambda task_ids: cancelling.cancel_many(task_ids, order),
        notes=[_note(running, order)] if running else [],
    )


def _note(running: int, order: Order) -> str:
    are = f"{running:,} of them run" if running > 1 else "1 of them runs"
    if order.signal:
        return f"{are} already, and would be ended: what was done so far stays done, and its outcome would be REVOKED."
    return f"{are} already, and would run on; whatever it comes to would count for nothing. --terminate would end it."


def _answers(task_ids: Sequence[str]) -> dict[str, str]:
    """What their workers say, as far as they do so in time."""
    deadline, answers = time.monotonic() + ANSWERED_WITHIN, dict[str, str]()
    while task_ids and time.monotonic() < deadline:
        answers = terminations.answers(task_ids)
        if all(answers.get(one) for one in task_ids):
            break
        time.sleep(LOOK_EVERY)
    return answers


def _sentence(fate: Fate, answer: str) -> str:
    return ENDINGS[answer] if fate is Fate.ENDING else SENTENCES[fate]


def _document(task_id: str, fate: Fate, answers: Mapping[str, str]) -> dict[str, Any]:
    ended = {"termination": answers.get(task_id) or "asked"} if fate is Fate.ENDING else {}
    return {"id": task_id, "cancelled": fate.is_cancelled, "fate": fate.value, **ended}
