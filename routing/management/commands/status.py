"""``manage.py status [--watch]``: queues, consumers, pools, relay and beat in one table, live, or for scripts."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from routing.broker.topology import UNROUTED_QUEUE
from routing.console import survey
from routing.console.lives import Life
from routing.console.survey import Mark, Survey
from routing.console.time_words import short
from routing.domains import Pool, registry
from routing.management import live

ALL_WELL, NOT_SERVED, UNREACHABLE = 0, 1, 2
PATIENCE = 5.0


class Command(BaseCommand):
    help = (
        "Show queues, consumers, worker pools, relay and beat. Exit status: 0 all well, 1 a lane has no worker, a "
        "worker takes no messages, relay or beat is missing, or beat does not come to what is due, 2 broker or "
        "database cannot be reached; of --watch, which goes on until Ctrl-C: 0."
    )
    # It is called when something is wrong; a failing check must not hide what.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
        parser.add_argument(
            "--watch",
            nargs="?",
            type=live.seconds,
            const=live.EVERY,
            metavar="SECONDS",
            help=f"show it anew every few seconds ({live.EVERY:g}), until Ctrl-C; with --json, a line each time",
        )

    def handle(self, *, as_json: bool, watch: float | None = None, **_: Any) -> None:
        if watch is not None:
            # Django's wrapper would end each movement of the cursor with a line.
            self.stdout.ending = ""
            show = _line if as_json else lambda: _live(survey.take(), every=watch)
            live.watch(show, every=watch, output=self.stdout, in_place=not as_json)  # type: ignore[arg-type]
            return
        seen = survey.take(seconds=PATIENCE)
        if as_json:
            self.stdout.write(json.dumps(_document(seen), indent=2))
        else:
            console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
            console.print(_table(seen), *_sentences(seen), sep="\n")
        raise SystemExit(_exit_status(seen))


def _sentences(seen: Survey) -> Iterator[Text]:
    aside = survey.set_aside_sentence(seen)
    notable = [*seen.pauses, *seen.looks, *([aside] if aside else [])]
    yield from (Text(sentence, style="yellow") for sentence in notable)
    if not (seen.problems or notable):
        yield Text("All is well.", style="green")
    yield from (Text(problem.sentence, style="red") for problem in seen.problems)


def _live(seen: Survey, *, every: float) -> Group:
    """What is wrong comes first: a low terminal shows the beginning."""
    now = timezone.localtime().strftime("%H:%M:%S")
    return Group(Text(f"{now}, every {every:g} s; Ctrl-C ends it.", style="dim"), *_sentences(seen), _table(seen))


def _line() -> Text:
    """One object, with the time of day."""
    seen = survey.take()
    return Text(json.dumps({"at": timezone.now().isoformat(), **_document(seen)}))


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
