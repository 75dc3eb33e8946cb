"""``manage.py webhooks list|add|move|rotate|off|on|test|reseal``: the endpoints that webhooks go to."""

import argparse
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from notifications.consent.tables import Suppression
from notifications.problems import InvalidNotification
from notifications.webhooks import endpoints
from notifications.webhooks.tables import Endpoint
from routing.ledger import processes
from routing.management import reachable

_LONGEST = endpoints.LONGEST_OVERLAP // timedelta(hours=1)


class Command(BaseCommand):
    help = "List the endpoints that webhooks go to, add and change them, make new secrets, and send a test."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|add|move|rotate|off|on|test|reseal")
        listing = verbs.add_parser("list", help="each endpoint, and whether it is on")
        add = _named(verbs, "add", "make one, and print its secret, which is shown once")
        move = _named(verbs, "move", "post to another URL from now on")
        for verb in (add, move):
            verb.add_argument("url", metavar="URL", help="such as https://example.org/hook")
        rotate = _named(verbs, "rotate", "make a new secret, and print it once; both sign for a while")
        rotate.add_argument(
            "--overlap", type=_hours, default=24, metavar="HOURS", help="how long the one of before signs as well (24)"
        )
        for deed, about in (("off", "send nothing to it"), ("on", "send to it again, whatever it was off for")):
            turn = _named(verbs, deed, about)
            turn.add_argument("--because", default="", metavar="TEXT", help="why; it stays on record")
        test = _named(verbs, "test", "send a test, as all others are sent")
        reseal = verbs.add_parser("reseal", help="seal all with today's SECRET_KEY, before an old one is dropped")
        for verb in (listing, add, rotate, test, reseal):
            verb.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, verb: str, **options: Any) -> None:
        act = {
            "list": self._list,
            "add": self._add,
            "move": self._move,
            "rotate": self._rotate,
            "off": self._off,
            "on": self._on,
            "test": self._test,
            "reseal": self._reseal,
        }[verb]
        try:
            with reachable.database():
                act(options)
        except InvalidNotification as error:
            raise CommandError(str(error)) from None

    def _list(self, options: Mapping[str, Any]) -> None:
        rows = list(Endpoint.objects.order_by("name"))
        off = endpoints.off(rows)
        if options["as_json"]:
            self.stdout.write(json.dumps([_document(row, off.get(row.name)) for row in rows], indent=2))
        elif not rows:
            self.stdout.write("There are no endpoints yet. Make one: manage.py webhooks add NAME URL")
        else:
            table = Table("Endpoint", "URL", "State", "Secret made", box=None, pad_edge=False)
            for row in rows:
                state = escape(_state(off.get(row.name)))
                table.add_row(row.name, escape(row.url), state, f"{row.rotated_at:%Y-%m-%d}")
            Console(file=self.stdout, soft_wrap=True).print(table, highlight=False)  # type: ignore[arg-type]

    def _add(self, options: Mapping[str, Any]) -> None:
        row, secret = endpoints.add(options["name"], options["url"], by=_whoever())
        self._tell_secret(row, secret, options)

    def _move(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        if not endpoints.move(row, options["url"]):
            raise CommandError(f"Somebody else has just changed {row.name}. Look at webhooks list, and try again.")
        self.stdout.write(f"{row.name} is posted to {options['url']} from now on, what waits for it, too.")

    def _rotate(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        secret = endpoints.rotate(row, overlap=timedelta(hours=options["overlap"]))
        if secret is None:
            raise CommandError(f"Somebody else has just made a new secret for {row.name}.")
        self._tell_secret(row, secret, options)
        if not options["as_json"]:
            self.stdout.write(f"For {options['overlap']} hours from now the one of before signs as well.")

    def _off(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        is_new = endpoints.switch_off(row, by=_whoever(), because=options["because"])
        told = f"{row.name} is off: what is meant for it is suppressed."
        self.stdout.write(told if is_new else "It was off already.")

    def _on(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        is_new = endpoints.switch_on(row, by=_whoever(), because=options["because"])
        again = f"What was held back: manage.py deliveries resend {row.name} --state suppressed"
        self.stdout.write(f"{row.name} is on. {again}" if is_new else "It was on already.")

    def _test(self, options: Mapping[str, Any]) -> None:
        row = _the(options["name"])
        if row.name in endpoints.off([row]):
            raise CommandError(f"{row.name} is off. Switch it on first: manage.py webhooks on {row.name}")
        delivery = endpoints.send_test(row, by=_whoever()).deliveries.get()
        if options["as_json"]:
            self.stdout.write(json.dumps({"delivery": delivery.pk, "notification": str(delivery.notification_id)}))
        else:
            self.stdout.write(f"A test is on its way. How it is answered: manage.py deliveries show {delivery.pk}")

    def _reseal(self, options: Mapping[str, Any]) -> None:
        done, unreadable = endpoints.reseal_all()
        if options["as_json"]:
            self.stdout.write(json.dumps({"resealed": done, "unreadable": unreadable}))
        elif done or not unreadable:
            self.stdout.write(f"{done} sealed anew; all others were sealed with today's SECRET_KEY already.")
        if unreadable:
            names = ", ".join(unreadable)
            raise CommandError(
                f"Sealed with a SECRET_KEY that is not at hand: {names}. Put that one into SECRET_KEY_FALLBACKS and "
                "try again, or make new secrets: manage.py webhooks rotate NAME"
            )

    def _tell_secret(self, row: Endpoint, secret: str, options: Mapping[str, Any]) -> None:
        if options["as_json"]:
            self.stdout.write(json.dumps({"name": row.name, "secret": secret}))
        else:
            self.stdout.write(f"The secret of {row.name}, which is shown now and never again:\n\n  {secret}\n")


def _named(verbs: Any, verb: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(verb, help=about)
    parser.add_argument("name", metavar="NAME", help="such as web-shop")
    return parser


def _hours(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours from 0 to {_LONGEST}.")
    return int(text)


def _the(name: str) -> Endpoint:
    found = Endpoint.objects.filter(name=name.casefold()).first()
    if found is None:
        known = ", ".join(Endpoint.objects.order_by("name").values_list("name", flat=True)[:20])
        raise CommandError(f"There is no endpoint {name!r}; there are {known or 'none yet'}.")
    return found


def _whoever() -> str:
    return f"{processes.whoever()} (command line)"


def _state(off: Suppression | None) -> str:
    return "on" if off is None else f"off: {off.detail or off.get_reason_display()}"


def _document(row: Endpoint, off: Suppression | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "url": row.url,
        "on": off is None,
        "off_because": None if off is None else off.detail or str(off.get_reason_display()),
        "secret_made_at": row.rotated_at.isoformat(),
        "previous_signs_until": row.previous_until.isoformat() if row.previous_until else None,
        "created_at": row.created_at.isoformat(),
        "created_by": row.created_by,
    }
