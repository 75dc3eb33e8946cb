"""The options by which a command is told which rows it is for."""

import argparse
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from routing.domains import registry
from routing.ledger import tally
from routing.ledger.selection import Selection
from routing.ledger.tables import DeadLetter, Message
from routing.moments import FARTHEST

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(?:\d+[smhdw])+", re.IGNORECASE)


def add_options(
    parser: argparse.ArgumentParser, *, states: Sequence[str], things: str, ids: str = "ids of tasks"
) -> None:
    """What ``selection_of`` reads. ``things`` is what is selected, in the plural."""
    group = parser.add_argument_group("which", f"Those to which all of it applies; all {things} only with --all.")
    group.add_argument("ids", nargs="*", metavar="ID", help=ids)
    group.add_argument("--task", default="", metavar="NAME", help="the task's name; * stands for any characters")
    group.add_argument("--domain", default="", metavar="NAME", help=f"one of {', '.join(d.name for d in registry())}")
    group.add_argument("--queue", default="", metavar="NAME")
    group.add_argument("--state", type=_state(states), metavar="STATE", help=f"one of {', '.join(states)}")
    group.add_argument("--older-than", type=duration, metavar="AGE", help="such as 90s, 30m, 2h, 5d or 1d12h")
    group.add_argument("--newer-than", type=duration, metavar="AGE", help="the same")
    group.add_argument("--error", default="", metavar="TEXT", help="a part of the error, in upper or lower case")
    group.add_argument("--all", action="store_true", dest="is_all", help=f"all {things}, where nothing else is said")


def selection_of(options: Mapping[str, Any], *, needs_all: bool = True) -> Selection:
    """Raises CommandError, which tells the cure."""
    chosen = Selection(
        task=_text("--task", options["task"]),
        domain=options["domain"],
        queue=options["queue"],
        state=options["state"] or "",
        older_than=options["older_than"],
        newer_than=options["newer_than"],
        error=_text("--error", options["error"]),
        ids=tuple(_text("id", one) for one in options["ids"]),
    )
    if needs_all and chosen.is_everything and not options["is_all"]:
        raise CommandError("This would be for everything. Say which, such as --task or --older-than; or say --all.")
    if not chosen.is_everything and options["is_all"]:
        raise CommandError("--all and a choice of some contradict each other. Leave out one of them.")
    if chosen.older_than and chosen.newer_than and chosen.newer_than <= chosen.older_than:
        raise CommandError("Nothing is both older and newer than that. --newer-than must be more than --older-than.")
    _require_domain(chosen.domain)
    _require_queue(chosen.queue)
    return chosen


def duration(text: str) -> timedelta:
    """``2h``, ``1d12h``. Raises ArgumentTypeError."""
    total = timedelta()
    if _DURATION.fullmatch(text):
        try:
            for number, unit in re.findall(r"(\d+)([a-z])", text.lower()):
                total += timedelta(**{UNITS[unit]: int(number)})
        except OverflowError:
            total = FARTHEST + timedelta(1)
    if not timedelta() < total <= FARTHEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no age: use a number and s, m, h, d or w, such as 90s, 30m, 2h, 5d or 1d12h."
        )
    return total


def _state(states: Sequence[str]) -> Any:
    by_name = {state.lower(): state for state in states}

    def state(text: str) -> str:
        if text.lower() not in by_name:
            raise argparse.ArgumentTypeError(f"{text!r} is no state of theirs. Use one of {', '.join(states)}.")
        return by_name[text.lower()]

    return state


def _text(option: str, value: str) -> str:
    if "\0" in value:
        raise CommandError(f"{option} holds a NUL, which nothing that is stored does.")
    return value


def _require_domain(name: str) -> None:
    declared = [domain.name for domain in registry()]
    # One that was taken out of the code has left its books.
    if name and name not in declared and name not in tally.books():
        raise CommandError(f"No domain is called {name!r}. Use one of {', '.join(declared)}.")


def _require_queue(name: str) -> None:
    if not name or name in registry().pools:
        return
    if not any(kind._default_manager.filter(queue=name).exists() for kind in (Message, DeadLetter)):
        raise CommandError(f"No queue is called {name!r}. Use one of {', '.join(registry().pools)}.")
