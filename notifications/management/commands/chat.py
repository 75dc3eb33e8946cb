"""``manage.py chat list|add|move|off|on|test``: the chat rooms and phones that are written to by Apprise."""

import getpass
import json
import sys
from collections.abc import Mapping
from typing import Any

from notifications.chat import composing, targets
from notifications.chat.tables import ChatTarget
from notifications.management.named_command import NamedCommand, as_json, whoever


class Command(NamedCommand):
    help = "List the chat rooms and phones that are written to, add and change them, and send a test."
    verbs = ("list", "add", "move", "off", "on", "test")
    command = "chat"
    model = ChatTarget
    acts = targets
    noun = "chat target"
    such_as = "ops-chat"
    arguments_of_add = "NAME"

    def add_verbs(self, verbs: Any) -> None:
        listing = verbs.add_parser("list", help="each target, and whether it is on; no URL is shown")
        add = self.named(verbs, "add", "make one, by its Apprise URL")
        move = self.named(verbs, "move", "give it another Apprise URL")
        for verb in (add, move):
            verb.add_argument(
                "url",
                nargs="?",
                metavar="URL",
                help="such as slack://…; left out, it is asked for, or read from standard input: no history keeps it",
            )
        as_json(listing, add, move)

    def document(self, row: ChatTarget) -> dict[str, Any]:
        return {
            "goes_to": targets.shown(row),
            "url_given_at": row.changed_at.isoformat(),
            "created_at": row.created_at.isoformat(),
            "created_by": row.created_by,
        }

    def _list(self, options: Mapping[str, Any]) -> None:
        self.tell_all(
            ("Target", "Goes to", "State", "URL given"),
            lambda row, state: (row.name, targets.shown(row), state, f"{row.changed_at:%Y-%m-%d}"),
            as_json=options["as_json"],
        )

    def _add(self, options: Mapping[str, Any]) -> None:
        targets.require_name(options["name"])
        row = targets.add(options["name"], _url(options["url"]), by=whoever())
        self._tell(row, f"{row.name} goes to {targets.shown(row)}. Try it: manage.py chat test {row.name}", options)

    def _move(self, options: Mapping[str, Any]) -> None:
        row = self.the(options["name"])
        if not targets.move(row, _url(options["url"])):
            raise self.changed_meanwhile(row.name)
        row.refresh_from_db()
        self._tell(row, f"{row.name} goes to {targets.shown(row)} from now on, what waits for it, too.", options)

    def _tell(self, row: ChatTarget, said: str, options: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps({"name": row.name, "goes_to": targets.shown(row)}) if options["as_json"] else said)
        if not composing.is_installed():
            self.stderr.write(f"The package apprise is not installed here. {composing.CURE}")


def _url(given: str | None) -> str:
    if given is not None:
        return given.strip()
    return (getpass.getpass("Apprise URL: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
