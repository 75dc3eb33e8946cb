"""``manage.py queues [pause|resume]``: what is in each queue, and holding one still."""

import argparse
import json
import time
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from routing.broker.inspection import BrokerUnavailable, inspect
from routing.broker.topology import QueueDepth
from routing.console.lives import pause_sentence
from routing.console.time_words import short
from routing.domains import registry
from routing.ledger import pauses, processes
from routing.ledger.loads import Load, loads
from routing.ledger.pauses import Unconfirmed
from routing.ledger.tables import QueuePause
from routing.management import reachable

PATIENCE = 5.0
WAIT = processes.DEAD_AFTER + 9
"""Seconds: until then whoever died just now is declared dead, and missed no more."""
LOOK_EVERY = 0.2
LONGEST_REASON = 1_000
NO_BROKER, NOT_CONFIRMED = 2, 3


class Command(BaseCommand):
    help = (
        "Show what is in each queue, and who has paused it; or pause one: nothing of it is published or started "
        f"until it is resumed. Exit status: 0 done, 1 refused, {NO_BROKER} shown without what RabbitMQ has, because it "
        f"does not answer, {NOT_CONFIRMED} paused, and not everybody has confirmed it in time."
    )
    # It may be called when something is wrong; a failing check must not hide what.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        verbs = parser.add_subparsers(dest="verb", metavar="[pause|resume]")
        pause = verbs.add_parser("pause", help="publish and start nothing of a queue; what runs is finished")
        pause.add_argument("--reason", required=True, help="why, for whoever finds it paused")
        pause.add_argument(
            "--wait",
            type=_seconds,
            default=WAIT,
            metavar="SECONDS",
            help=f"how long to wait until every relay and worker keeps to it; {WAIT:g} if left out",
        )
        resume = verbs.add_parser("resume", help="go on with it")
        for one in (pause, resume):
            one.add_argument("queue", help="such as notifications.bulk")
            one.add_argument("--by", default="", metavar="NAME", help="who asks; by default, who is logged in")
            one.add_argument("--json", action="store_true", dest="as_json", default=argparse.SUPPRESS)

    def handle(self, *, verb: str | None, as_json: bool, **options: Any) -> None:
        with reachable.database():
            if verb is None:
                self._list(as_json)
                return
            queue, by = _declared(options["queue"]), _short("--by", options["by"] or processes.whoever())
            if verb == "pause":
                self._pause(queue, by, _short("--reason", options["reason"]), options["wait"], as_json)
            else:
                self._resume(queue, by, as_json)

    def _pause(self, queue: str, by: str, reason: str, wait: float, as_json: bool) -> None:
        is_new = pauses.pause(queue, by=by, reason=reason)
        paused = pauses.in_force().filter(queue=queue).first()
        if not as_json and not is_new and paused:
            self.stdout.write(f"It was so already: {pause_sentence(paused)}")
        missing = _until_confirmed(queue, seconds=wait)
        if as_json:
            self.stdout.write(json.dumps({**_change(queue, is_new), "unconfirmed": list(map(str, missing))}, indent=2))
        elif missing:
            self.stderr.write(_not_confirmed(queue, missing, wait))
        else:
            self.stdout.write(
                f"{queue} is paused: {_confirmed(queue)}. Nothing of it is published or started until manage.py queues "
                f"resume {queue}. What runs is finished."
            )
        if missing:
            raise SystemExit(NOT_CONFIRMED)

    def _resume(self, queue: str, by: str, as_json: bool) -> None:
        changed = pauses.resume(queue, by=by)
        if as_json:
            self.stdout.write(json.dumps(_change(queue, changed), indent=2))
        elif changed:
            self.stdout.write(f"{queue} goes on; relays and workers take it up again within two seconds.")
        else:
            self.stdout.write(f"{queue} is not paused, so nothing has changed.")

    def _list(self, as_json: bool) -> None:
        depths, trouble = _depths()
        self._show(depths, trouble, as_json)
        if trouble:
            raise SystemExit(NO_BROKER)

    def _show(self, depths: dict[str, QueueDepth | None], trouble: str, as_json: bool) -> None:
        paused, found = {one.queue: one for one in pauses.in_force()}, loads()
        names = [*registry().pools, *sorted({*found, *paused} - registry().pools.keys())]
        if as_json:
            rows = [_document(name, depths.get(name), found.get(name, Load()), paused.get(name)) for name in names]
            self.stdout.write(json.dumps({"queues": rows, "broker": trouble or "ok"}, indent=2, default=str))
            return
        table = _table()
        for name in names:
            _add(table, name, depths.get(name), found.get(name, Load()), paused.get(name))
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        console.print(table)
        for one in paused.values():
            console.print(pause_sentence(one), style="yellow", markup=False, highlight=False)
        if trouble:
            console.print(trouble, style="red", markup=False, highlight=False)


def _until_confirmed(queue: str, *, seconds: float) -> list[Unconfirmed]:
    """Those that have not, when the time is up."""
    deadline = time.monotonic() + seconds
    with suppress(KeyboardInterrupt):
        while pauses.unconfirmed(queue) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
    return pauses.unconfirmed(queue)


def _confirmed(queue: str) -> str:
    count = len(pauses.concerned(queue))
    if not count:
        return "neither a relay nor a worker of it runs just now, and whoever starts keeps to it"
    return (
        f"all {count} of its relays and workers have confirmed it" if count > 1 else "the one process has confirmed it"
    )


def _not_confirmed(queue: str, missing: list[Unconfirmed], wait: float) -> str:
    names = "\n".join(f"  {one}" for one in missing)
    return (
        f"{queue} is paused, but these have not confirmed it within {wait:g} s, and may still publish or start "
        f"something of it:\n{names}\n"
        "They keep to it as soon as they reach the database. One of an older release does not know pauses; stop it, or "
        f"restart it. To wait again: manage.py queues pause {queue} --reason …"
    )


def _depths() -> tuple[dict[str, QueueDepth | None], str]:
    """Without an answer of RabbitMQ: none, and why."""
    try:
        return inspect(registry(), seconds=PATIENCE), ""
    except BrokerUnavailable as error:
        return {}, str(error)


def _table() -> Table:
    caption = "Ledger: waits to be published. Ready: in RabbitMQ. Held: by workers, running or taken ahead (about)."
    table = Table(title="Queues", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("Queue", no_wrap=True)
    for heading in ("Ledger", "Ready", "Held", "Consumers"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Paused", no_wrap=True)
    return table


def _add(table: Table, name: str, depth: QueueDepth | None, load: Load, paused: QueuePause | None) -> None:
    table.add_row(
        name,
        f"{load.waiting:,}",
        f"{depth.ready:,}" if depth else "-",
        f"{load.held(depth.ready):,}" if depth else "-",
        f"{depth.consumers}" if depth else "-",
        f"for {short(timezone.now() - paused.paused_at)}" if paused else "",
        style="yellow" if paused else None,
    )


def _document(name: str, depth: QueueDepth | None, load: Load, paused: QueuePause | None) -> dict[str, Any]:
    return {
        "name": name,
        "ledger": load.waiting,
        "ready": depth.ready if depth else None,
        "held": load.held(depth.ready) if depth else None,
        "running": load.running,
        "consumers": depth.consumers if depth else None,
        "paused": {"at": paused.paused_at.isoformat(), "by": paused.paused_by, "reason": paused.reason}
        if paused
        else None,
    }


def _change(queue: str, changed: bool) -> dict[str, Any]:
    return {"queue": queue, "changed": changed}


def _declared(name: str) -> str:
    """Also what was paused, and is not declared any more. Raises CommandError."""
    if name in registry().pools or pauses.in_force().filter(queue=name).exists():
        return name
    close = get_close_matches(name, list(registry().pools), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise CommandError(f"There is no queue {name!r}.{hint} The queues are: {', '.join(registry().pools)}.")


def _short(option: str, text: str) -> str:
    text = text.strip()
    longest = LONGEST_REASON if option == "--reason" else 255
    if not text or "\0" in text or len(text) > longest:
        raise CommandError(f"{option} must be text of 1 to {longest:,} characters.")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no time to wait: use seconds, from 0 to 3600.")
    return seconds
