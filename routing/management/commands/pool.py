"""``manage.py pool NAME`` is the worker pool of that queue; ``--list`` shows all of them."""

import argparse
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from routing.domains import Pool, registry
from routing.worker import pools

if TYPE_CHECKING:
    from rich.table import Table


class _Parser(CommandParser):
    def error(self, message: str) -> Any:
        if message.startswith("unrecognized arguments"):
            message += (
                "\nOptions of celery worker go after two dashes, such as: "
                "manage.py pool notifications.urgent -- --concurrency=4"
            )
        super().error(message)


class Command(BaseCommand):
    help = "Start the worker pool of a queue with its declared limits. Options after -- go to celery worker."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # Django makes it, and takes no class for it.
        parser.__class__ = _Parser
        return parser

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="the queue's name, such as notifications.urgent")
        parser.add_argument("--list", action="store_true", dest="show", help="show every pool and its limits")
        parser.add_argument("extra", nargs="*", help=argparse.SUPPRESS)

    def handle(self, *, name: str | None, show: bool, extra: list[str], **_: Any) -> None:
        if show:
            _show(list(registry().pools.values()))
            return
        if name is None:
            raise CommandError(f"Which pool? One of: {', '.join(registry().pools)}. --list shows their limits.")
        try:
            pool = pools.get(name)
        except pools.UnknownPool as error:
            raise CommandError(str(error)) from None
        # The checks may have opened one, which the pool's processes would inherit.
        connections.close_all()
        pools.run(pool, extra)


def _show(rows: list[Pool]) -> None:
    # Not above: every worker would have loaded it.
    from rich.console import Console

    Console().print(_table(rows))


def _table(rows: list[Pool]) -> "Table":
    from rich.table import Table

    caption = "Prefetch: messages a process holds, the one it runs included. Limits: soft / hard, in seconds."
    table = Table(title="Worker pools", title_justify="left", caption=caption, caption_justify="left")
    table.add_column("Pool = queue", no_wrap=True)
    for heading in ("Processes", "Prefetch", "Limits", "Runs", "Retries"):
        table.add_column(heading, justify="right")
    for pool in rows:
        domain = pool.domain
        table.add_row(
            pool.name,
            str(pool.concurrency),
            str(pool.prefetch),
            f"{domain.soft_time_limit.total_seconds():g} / {domain.time_limit.total_seconds():g}",
            str(domain.run_limit),
            str(domain.retry.max_retries),
        )
    return table
