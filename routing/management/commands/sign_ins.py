"""``manage.py sign_ins [unlock]``: who has to wait after too many attempts to sign in, and letting them try at once."""

import argparse
import json
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from routing.console import sign_ins
from routing.console.sign_ins import SignInAttempts
from routing.console.time_words import short
from routing.management import reachable


class Command(BaseCommand):
    help = "Show who has to wait after too many attempts to sign in, or let them try again at once."
    # It is called when something is wrong; a failing check must not hide what.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        verbs = parser.add_subparsers(dest="verb", metavar="[unlock]")
        unlock = verbs.add_parser("unlock", help="forget the attempts of a name, from an address, or all")
        unlock.add_argument("name", nargs="?", default="", help="as it is typed to sign in")
        unlock.add_argument("--address", default="", help="such as 203.0.113.9")
        unlock.add_argument("--all", action="store_true", dest="everybody", help="of everybody")

    def handle(self, *, verb: str | None, as_json: bool, **options: Any) -> None:
        with reachable.database():
            if verb is None:
                self._list(sign_ins.refused(), as_json=as_json)
            else:
                self._unlock(**{name: options[name] for name in ("name", "address", "everybody")})

    def _list(self, rows: list[SignInAttempts], *, as_json: bool) -> None:
        names = {sign_ins.digest(name): name for name in _usernames()} if rows else {}
        known = [(names.get(row.name_digest, ""), row) for row in rows]
        if as_json:
            found = [
                {"name": name or None, "address": row.address, "attempts": row.count, "until": _until(row).isoformat()}
                for name, row in known
            ]
            self.stdout.write(json.dumps({"waiting": found}, indent=2))
            return
        for name, row in known:
            who = name or "a name that nobody has"
            left = short(_until(row) - timezone.now())
            self.stdout.write(f"{who}, from {row.address}: {row.count} attempts, has to wait {left} more.")
        if known:
            self.stdout.write("To let somebody try at once: manage.py sign_ins unlock NAME")
        else:
            self.stdout.write("Nobody has to wait.")

    def _unlock(self, *, name: str, address: str, everybody: bool) -> None:
        if not (name or address or everybody):
            raise CommandError("Say whose attempts to forget: a name, --address, or --all.")
        count = sign_ins.unlock(name=name, address=address)
        self.stdout.write("They may try again." if count else "Nobody had to wait there, so nothing has changed.")


def _usernames() -> list[str]:
    return list(get_user_model().objects.values_list("username", flat=True))


def _until(row: SignInAttempts) -> Any:
    return row.last_at + sign_ins.WINDOW
