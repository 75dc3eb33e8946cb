"""What ``manage.py chat`` and ``manage.py webhooks`` have in common: verbs about what operators have named."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Model
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from notifications.consent.tables import Suppression
from notifications.problems import InvalidNotification
from routing.ledger import processes
from routing.management import reachable


class NamedCommand(BaseCommand):
    """Each verb is a method with an underscore before its name, which takes the options."""

    verbs: tuple[str, ...]
    command: str
    model: type[Model]
    acts: ModuleType
    """It has ``off``, ``send_test``, ``switch_off`` and ``switch_on``."""
    noun: str
    such_as: str
    """A name, as an example."""
    arguments_of_add: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(self.verbs))
        self.add_verbs(verbs)
        for deed, about in (("off", "send nothing to it"), ("on", "send to it again, whatever it was off for")):
            turn = self.named(verbs, deed, about)
            turn.add_argument("--because", default="", metavar="TEXT", help="why; it stays on record")
        as_json(self.named(verbs, "test", "send a test, as all others are sent"))

    def add_verbs(self, verbs: Any) -> None:
        """All others."""
        raise NotImplementedError

    def named(self, verbs: Any, verb: str, about: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(verb, help=about)
        parser.add_argument("name", metavar="NAME", help=f"such as {self.such_as}")
        return parser

    def handle(self, *, verb: str, **options: Any) -> None:
        act: Callable[[Mapping[str, Any]], None] = getattr(self, f"_{verb}")
        try:
            with reachable.database():
                act(options)
        except InvalidNotification as error:
            raise CommandError(str(error)) from None

    def the(self, name: str) -> Any:
        """The row of that name. Raises CommandError, which tells the names that there are."""
        rows = self.model._default_manager.order_by("name")
        found = rows.filter(name=name.casefold()).first()
        if found is None:
            known = ", ".join(rows.values_list("name", flat=True)[:20])
            raise CommandError(f"There is no {self.noun} {name!r}; there are {known or 'none yet'}.")
        return found

    def document(self, row: Any) -> dict[str, Any]:
        """What is told of it for programs, beside its name and whether it is on."""
        raise NotImplementedError

    def tell_all(self, headings: Sequence[str], cells: Callable[[Any, str], Sequence[str]], *, as_json: bool) -> None:
        """``cells``: those of a row, with the words for its state."""
        rows: list[Any] = list(self.model._default_manager.order_by("name"))
        off = self.acts.off(rows)
        if as_json:
            told = [{"name": row.name, **_state_of(off.get(row.name)), **self.document(row)} for row in rows]
            self.stdout.write(json.dumps(told, indent=2))
        elif not rows:
            made = f"manage.py {self.command} add {self.arguments_of_add}"
            self.stdout.write(f"There are no {self.noun}s yet. Make one: {made}")
        else:
            table = Table(*headings, box=None, pad_edge=False)
            for row in rows:
                table.add_row(*(escape(cell) for cell in cells(row, _state(off.get(row.name)))))
            Console(file=self.stdout, soft_wrap=True).print(table, highlight=False)  # type: ignore[arg-type]

    def changed_meanwhile(self, name: str) -> CommandError:
        return CommandError(f"Somebody else has just changed {name}. Look at {self.command} list, and try again.")

    def _off(self, options: Mapping[str, Any]) -> None:
        row = self.the(options["name"])
        is_new = self.acts.switch_off(row, by=whoever(), because=options["because"])
        told = f"{row.name} is off: what is meant for it is suppressed."
        self.stdout.write(told if is_new else "It was off already.")

    def _on(self, options: Mapping[str, Any]) -> None:
        row = self.the(options["name"])
        is_new = self.acts.switch_on(row, by=whoever(), because=options["because"])
        again = f"What was held back: manage.py deliveries resend {row.name} --state suppressed"
        self.stdout.write(f"{row.name} is on. {again}" if is_new else "It was on already.")

    def _test(self, options: Mapping[str, Any]) -> None:
        row = self.the(options["name"])
        if row.name in self.acts.off([row]):
            raise CommandError(f"{row.name} is off. Switch it on first: manage.py {self.command} on {row.name}")
        delivery = self.acts.send_test(row, by=whoever()).deliveries.get()
        if options["as_json"]:
            self.stdout.write(json.dumps({"delivery": delivery.pk, "notification": str(delivery.notification_id)}))
        else:
            self.stdout.write(f"A test is on its way. How it is answered: manage.py deliveries show {delivery.pk}")


def as_json(*verbs: argparse.ArgumentParser) -> None:
    for verb in verbs:
        verb.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")


def whoever() -> str:
    return f"{processes.whoever()} (command line)"


def _state(off: Suppression | None) -> str:
    return "on" if off is None else f"off: {off.detail or off.get_reason_display()}"


def _state_of(off: Suppression | None) -> dict[str, Any]:
    return {"on": off is None, "off_because": None if off is None else off.detail or str(off.get_reason_display())}
