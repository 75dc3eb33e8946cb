"""``manage.py status``: queues, consumers, pools, relay and beat in one table, and an exit status for scripts."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from routing.broker.topology import UNROUTED_QUEUE
from routing.console import survey
from routing.console.lives import Life
from routing.console.survey import Mark, Survey
from routing.console.time_words import short
from routing.domains import Pool, registry

ALL_WELL, NOT_SERVED, UNREACHABLE = 0, 1, 2
PATIENCE = 5.0


class Command(BaseCommand):
    help = (
        "Show queues, consumers, worker pools, relay and beat. Exit status: 0 all well, 1 a lane has no worker, a "
        "worker takes no messages, relay or beat is missing, or beat does not come to what is due, 2 broker or "
        "database cannot be reached."
    )
    # It is called when something is wrong; a failing check must not hide what.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")

    def handle(self, *, as_json: bool, **_: Any) -> None:
        seen = survey.take(seconds=PATIENCE)
        if as_json:
            self.stdout.write(json.dumps(_document(seen), indent=2))
        else:
            self._show(seen)
        raise SystemExit(_exit_status(seen))

    def _show(self, seen: Survey) -> None:
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        console.print(_table(seen))
        for sentence in seen.pauses:
            console.print(sentence, style="yellow", markup=False, highlight=False)
        aside = survey.set_aside_sentence(seen)
        for sentence in [*seen.looks, *([aside] if aside else [])]:
            console.print(sentence, style="yellow", markup=False, highlight=False)
        if not (seen.problems or seen.pauses or seen.looks or aside):
            console.print("[green]All is well.[/]")
        for problem in seen.problems:
            console.print(problem.sentence, style="red", markup=False, highlight=False)


def _exit_status(seen: Survey) -> int:
    marks = {problem.mark for problem in seen.problems}
    if Mark.UNREACHABLE in marks:
        return UNREACHABLE
    return NOT_SERVED if marks else ALL_WELL


def _table(seen: Survey) -> Table:
    caption = "Pool: processes x messages each holds. Limits: soft / hard, in seconds."
    table = Table(title="Pipeline", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("Queue", no_wrap=True)
    for heading in ("Ready", "Consumers", "Pool", "Limits"):
        table.add_column(heading, justify="right", no_wrap=True)
    for domain in registry():
        for name in domain.queues:
            _add_lane(table, seen, registry().pools[name])
        _add_kept(table, seen, domain.dead_letter_queue)
        table.add_section()
    _add_kept(table, seen, UNROUTED_QUEUE.name)
    table.add_section()
    for name, life in (("relay", seen.lives.relay), ("beat", seen.beat)):
        is_bad = life is None or life.late or life.trouble
        table.add_row(name, _last_seen(seen, life), style="red" if is_bad else None)
    return table


def _add_lane(table: Table, seen: Survey, pool: Pool) -> None:
    depth, domain = seen.queues.get(pool.name), pool.domain
    is_paused = pool.name in seen.lives.paused
    is_bad = seen.queues and not is_paused and not (depth and depth.consumers)
    table.add_row(
        pool.name,
        str(depth.ready) if depth else "-",
        "paused" if is_paused else str(depth.consumers) if depth else "-",
        f"{pool.concurrency} x {pool.prefetch}",
        f"{domain.soft_time_limit.total_seconds():g} / {domain.time_limit.total_seconds():g}",
        style="yellow" if is_paused else "red" if is_bad else None,
    )


def _add_kept(table: Table, seen: Survey, name: str) -> None:
    """A queue that nobody consumes: what it holds is kept for people."""
    depth = seen.queues.get(name)
    table.add_row(name, str(depth.ready) if depth else "-", style="yellow" if depth and depth.ready else "dim")


def _last_seen(seen: Survey, life: Life | None) -> str:
    if seen.database.error:
        return "?"
    return f"{short(life.age)} ago" if life else "never"


def _document(seen: Survey) -> dict[str, Any]:
    return {
        "status": "ok" if not seen.problems else "failing",
        "problems": [problem.sentence for problem in seen.problems],
        "look": seen.looks,
        "paused": seen.pauses,
        "queues": [_queue(seen, pool) for pool in registry().pools.values()],
        "dead_letters": {domain.name: _ready(seen, domain.dead_letter_queue) for domain in registry()},
        "unrouted": _ready(seen, UNROUTED_QUEUE.name),
        "relay": _life(seen.lives.relay),
        "beat": _life(seen.beat),
        "workers": [
            {**(_life(worker) or {}), "name": worker.name, "queues": worker.queues, "consuming": worker.consuming}
            for worker in seen.lives.workers
        ],
    }


def _life(life: Life | None) -> dict[str, Any] | None:
    if life is None:
        return None
    return {
        "process": life.process,
        "last_seen_at": life.beat_at.isoformat(),
        "seconds_ago": round(life.age.total_seconds(), 3),
        "trouble": life.trouble or None,
    }


def _queue(seen: Survey, pool: Pool) -> dict[str, Any]:
    depth, domain = seen.queues.get(pool.name), pool.domain
    return {
        "name": pool.name,
        "domain": domain.name,
        "ready": depth.ready if depth else None,
        "consumers": depth.consumers if depth else None,
        "paused": pool.name in seen.lives.paused,
        "pool": {
            "concurrency": pool.concurrency,
            "prefetch": pool.prefetch,
            "soft_time_limit": domain.soft_time_limit.total_seconds(),
            "time_limit": domain.time_limit.total_seconds(),
        },
    }


def _ready(seen: Survey, name: str) -> int | None:
    depth = seen.queues.get(name)
    return depth.ready if depth else None
