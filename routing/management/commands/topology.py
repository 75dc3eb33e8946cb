"""``manage.py topology show|plan|apply|drift``: what the domains imply on the broker, and bringing it there."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from amqp.exceptions import AccessRefused
from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from kombu import Connection
from rich.console import Console

from routing.broker import topology_table
from routing.broker.alteration import Alteration, Busy
from routing.broker.comparison import Action, Comparison, Step, compare
from routing.broker.inspection import cure
from routing.broker.moving import Unmovable
from routing.broker.topology import Undeclarable, queues
from routing.domains import registry
from routing.management import reachable

DRIFT = 1
COLOURS = {Action.DECLARE: "green", Action.ANEW: "yellow", Action.REMOVE: "red", Action.KEEP: "dim"}
DONE = {Action.DECLARE: "declared", Action.ANEW: "made anew", Action.REMOVE: "removed", Action.KEEP: "kept"}
WIDTH = 10


class Command(BaseCommand):
    help = "Compare RabbitMQ with what the domains declare, and bring it there. No task is lost on the way."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="show|plan|apply|drift")
        verbs.add_parser("show", help="print what the code declares, as Markdown tables")
        plan = verbs.add_parser("plan", help="say what apply would do, and do nothing")
        apply = verbs.add_parser("apply", help="do it; safe at any time, and safe to call again")
        drift = verbs.add_parser("drift", help="exit status 1 if RabbitMQ and the code differ, else 0")
        for verb in (plan, apply):
            verb.add_argument(
                "--move-to",
                metavar="QUEUE",
                help="where tasks in flight go whose queue left the code (else: their domain's)",
            )
        for verb in (plan, drift):
            verb.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, verb: str, move_to: str | None = None, as_json: bool = False, **_: Any) -> None:
        if verb == "show":
            self.stdout.write(topology_table.markdown(registry()))
            return
        if move_to is not None and move_to not in registry().pools:
            raise CommandError(
                f"--move-to {move_to}: no domain declares that. Use one of {', '.join(registry().pools)}."
            )
        with _broker() as connection:
            if verb == "apply":
                self._apply(connection, move_to)
                return
            found = compare(connection, registry(), move_to=move_to)
        self.stdout.write(json.dumps(_document(found), indent=2)) if as_json else self._show(found, connection)
        if verb == "drift" and found.steps:
            raise SystemExit(DRIFT)

    def _apply(self, connection: Connection, move_to: str | None) -> None:
        before = compare(connection, registry(), move_to=move_to)
        if before.unknown:
            raise CommandError(f"{_may_not(before, connection)} Run it with the BROKER_URL of a user who may.")
        alteration = Alteration(connection, registry(), tell=self.stdout.write)
        alteration.begin()
        for step in before.steps:
            alteration.take(step)
            self.stdout.write(_done(step))
        alteration.end()
        left = [step for step in before.steps if step.action is Action.KEEP]
        if left:
            raise CommandError("The rest is as the code has it. What was left needs a hand: see above.")
        self.stdout.write(f"{len(queues(registry()))} queues and their exchanges are as the code has them.")

    def _show(self, found: Comparison, connection: Connection) -> None:
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        if found.unknown:
            console.print(_may_not(found, connection), style="yellow", markup=False, highlight=False)
        elif not found.steps:
            console.print("[green]RabbitMQ is as the code has it.[/]")
        for step in found.steps:
            console.print(
                f"[{COLOURS[step.action]}]{step.action.value:<{WIDTH}}[/] {_what(step)}: {step.why}", highlight=False
            )
            if step.how:
                console.print(f"{'':<{WIDTH}} {step.how}", style="dim", markup=False, highlight=False)


def _what(step: Step) -> str:
    return step.name if step.kind == "marker" else f"{step.kind} {step.name}"


def _may_not(found: Comparison, connection: Connection) -> str:
    return (
        f"RabbitMQ's user {connection.userid or 'guest'} may declare nothing, and so not see how these differ from the "
        f"code: {', '.join(found.unknown)}."
    )


def _done(step: Step) -> str:
    reason = f": {step.why}; {step.how}" if step.action is Action.KEEP else ""
    return f"{DONE[step.action]:<{WIDTH}} {_what(step)}{reason}"


def _document(found: Comparison) -> dict[str, Any]:
    return {
        "drifted": bool(found.steps),
        "steps": [{**asdict(step), "action": step.action.value} for step in found.steps],
        "not_comparable": list(found.unknown),
    }


@contextmanager
def _broker() -> Iterator[Connection]:
    """A connection, whose troubles are sentences that tell the cure."""
    with current_app.connection_for_write(connect_timeout=5) as connection:
        try:
            with reachable.database(also="Without it no task is safe. What was begun is finished by the next apply."):
                yield connection
        except (Busy, Unmovable, Undeclarable) as error:
            raise CommandError(str(error)) from None
        except AccessRefused as error:
            raise CommandError(str(cure(error, connection))) from None
        except connection.connection_errors as error:
            raise CommandError(f"{cure(error, connection)} What was begun is finished by the next apply.") from None
        except connection.channel_errors as error:
            raise CommandError(
                f"RabbitMQ refused a step, and what was begun is finished by the next apply: {error}"
            ) from None
