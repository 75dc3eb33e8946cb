"""``manage.py webhooks list|add|move|rotate|off|on|test|reseal``: the endpoints that webhooks go to."""

import argparse
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from notifications.management.named_command import NamedCommand, as_json, whoever
from notifications.webhooks import endpoints
from notifications.webhooks.tables import Endpoint

_LONGEST = endpoints.LONGEST_OVERLAP // timedelta(hours=1)


class Command(NamedCommand):
    help = "List the endpoints that webhooks go to, add and change them, make new secrets, and send a test."
    verbs = ("list", "add", "move", "rotate", "off", "on", "test", "reseal")
    command = "webhooks"
    model = Endpoint
    acts = endpoints
    noun = "endpoint"
    such_as = "web-shop"
    arguments_of_add = "NAME URL"

    def add_verbs(self, verbs: Any) -> None:
        listing = verbs.add_parser("list", help="each endpoint, and whether it is on")
        add = self.named(verbs, "add", "make one, and print its secret, which is shown once")
        move = self.named(verbs, "move", "post to another URL from now on")
        for verb in (add, move):
            verb.add_argument("url", metavar="URL", help="such as https://example.org/hook")
        rotate = self.named(verbs, "rotate", "make a new secret, and print it once; both sign for a while")
        rotate.add_argument(
            "--overlap", type=_hours, default=24, metavar="HOURS", help="how long the one of before signs as well (24)"
        )
        reseal = verbs.add_parser("reseal", help="seal all with today's SECRET_KEY, before an old one is dropped")
        as_json(listing, add, rotate, reseal)

    def document(self, row: Endpoint) -> dict[str, Any]:
        return {
            "url": row.url,
            "secret_made_at": row.rotated_at.isoformat(),
            "previous_signs_until": row.previous_until.isoformat() if row.previous_until else None,
            "created_at": row.created_at.isoformat(),
            "created_by": row.created_by,
        }

    def _list(self, options: Mapping[str, Any]) -> None:
        self.tell_all(
            ("Endpoint", "URL", "State", "Secret made"),
            lambda row, state: (row.name, row.url, state, f"{row.rotated_at:%Y-%m-%d}"),
            as_json=options["as_json"],
        )

    def _add(self, options: Mapping[str, Any]) -> None:
        row, secret = endpoints.add(options["name"], options["url"], by=whoever())
        self._tell_secret(row, secret, options)

    def _move(self, options: Mapping[str, Any]) -> None:
        row = self.the(options["name"])
        if not endpoints.move(row, options["url"]):
            raise self.changed_meanwhile(row.name)
        self.stdout.write(f"{row.name} is posted to {options['url']} from now on, what waits for it, too.")

    def _rotate(self, options: Mapping[str, Any]) -> None:
        row = self.the(options["name"])
        secret = endpoints.rotate(row, overlap=timedelta(hours=options["overlap"]))
        if secret is None:
            raise CommandError(f"Somebody else has just made a new secret for {row.name}.")
        self._tell_secret(row, secret, options)
        if not options["as_json"]:
            self.stdout.write(f"For {options['overlap']} hours from now the one of before signs as well.")

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


def _hours(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours from 0 to {_LONGEST}.")
    return int(text)
