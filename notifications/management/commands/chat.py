"""``manage.py chat list|add|move|off|on|test``: the chat rooms and phones that are written to by Apprise."""

import argparse
import getpass
import json
import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from notifications.chat import composing, targets
from notifications.chat.tables import ChatTarget
from notifications.consent.tables import Suppression
from notifications.problems import InvalidNotification
from routing.ledger import processes
from routing.management import reachable


class Command(BaseCommand):
    help = "List the chat rooms and phones that are written to, add and change them, and send a test."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|add|move|off|on|test")
        listing = verbs.add_parser("list", help="each target, and whether it is on; no URL is shown")
        add = _named(verbs, "add", "make one, by its Apprise URL")
        move = _named(verbs, "move", "give it another Apprise URL")
        for verb in (add, move):
            verb.add_argument(
                "url",
                nargs="?",
                metavar="URL",
                help="such as slack://…; left out, it is asked for, or read from standard input: no history keeps it",
            )
        for deed, about in (("off", "send nothing to it"), ("on", "send to it again, whatever it was off for")):
            turn = _named(verbs, deed, about)
            turn.add_argument("--because", default="", metavar="TEXT", help="why; it stays on record")
        test = _named(verbs, "test", "send a test, as all others are sent")
        for verb in (listing, add, move, test):
            verb.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, verb: str, **options: Any) -> None:
        act = {
            "list": self._list,
            "add": self._add,
            "move": self._move,
            "off": self._off,
            "on": self._on,
            "test": self._test,
        }[verb]
        try:
            with reachable.database():
                act(options)
        except InvalidNotification as error:
            raise CommandError(str(error)) from None

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = list(ChatTarget.objects.order_by("name"))
        off = targets.off(rows)
        if options["as_json"]:
            self.stdout.write(json.dumps([_document(row, off.get(row.name)) for row in rows], indent=2))
        elif not rows:
            self.stdout.write("There are no chat targets yet. Make one: manage.py chat add NAME")
        else:
            table = Table("Target", "Goes to", "State", "URL given", box=None, pad_edge=False)
            for row in rows:
                state = escape(_state(off.get(row.name)))
                table.add_row(row.name, escape(targets.shown(row)), state, f"{row.changed_at:%Y-%m-%d}")
            Console(file=self.stdout, soft_wrap=True).print(table, highlight=False)  # type: ignore[arg-type]

    def _add(self, options: Mapping[str, Any]) -> None:
        targets.require_name(options["name"])
        row = targets.add(options["name"], _url(options["url"]), by=_whoever())
        self._tell(row, f"{row.name} goes to {targets.shown(row)}. Try it: manage.py chat test {row.name}", options)

    def _move(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        if not targets.move(row, _url(options["url"])):
            raise CommandError(f"Somebody else has just changed {row.name}. Look at chat list, and try again.")
        row.refresh_from_db()
        self._tell(row, f"{row.name} goes to {targets.shown(row)} from now on, what waits for it, too.", options)

    def _off(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        is_new = targets.switch_off(row, by=_whoever(), because=options["because"])
        told = f"{row.name} is off: what is meant for it is suppressed."
        self.stdout.write(told if is_new else "It was off already.")

    def _on(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        is_new = targets.switch_on(row, by=_whoever(), because=options["because"])
        again = f"What was held back: manage.py deliveries resend {row.name} --state suppressed"
        self.stdout.write(f"{row.name} is on. {again}" if is_new else "It was on already.")

    def _test(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        if row.name in targets.off([row]):
            raise CommandError(f"{row.name} is off. Switch it on first: manage.py chat on {row.name}")
        delivery = targets.send_test(row, by=_whoever()).deliveries.get()
        if options["as_json"]:
            self.stdout.write(json.dumps({"delivery": delivery.pk, "notification": str(delivery.notification_id)}))
        else:
            self.stdout.write(f"A test is on its way. How it is answered: manage.py deliveries show {delivery.pk}")

    def _tell(self, row: ChatTarget, said: str, options: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps({"name": row.name, "goes_to": targets.shown(row)}) if options["as_json"] else said)
        if not composing.is_installed():
            self.stderr.write(f"The package apprise is not installed here. {composing.CURE}")


def _named(verbs: Any, verb: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(verb, help=about)
    parser.add_argument("name", metavar="NAME", help="such as ops-chat")
    return parser


def _url(given: str | None) -> str:
    if given is not None:
        return given.strip()
    return (getpass.getpass("Apprise URL: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()


def _the(name: str) -> ChatTarget:
    found = ChatTarget.objects.filter(name=name.casefold()).first()
    if found is None:
        known = ", ".join(ChatTarget.objects.order_by("name").values_list("name", flat=True)[:20])
        raise CommandError(f"There is no chat target {name!r}; there are {known or 'none yet'}.")
    return found


def _whoever() -> str:
    return f"{processes.whoever()} (command line)"


def _state(off: Suppression | None) -> str:
    return "on" if off is None else f"off: {off.detail or off.get_reason_display()}"


def _document(row: ChatTarget, off: Suppression | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "goes_to": targets.shown(row),
        "on": off is None,
        "off_because": None if off is None else off.detail or str(off.get_reason_display()),
        "url_given_at": row.changed_at.isoformat(),
        "created_at": row.created_at.isoformat(),
        "created_by": row.created_by,
    }
