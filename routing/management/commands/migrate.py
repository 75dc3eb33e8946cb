"""Django's ``migrate``, for a database that is at work: nobody waits behind it for longer than a moment."""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections

LOCK_TIMEOUT = 1.0
PAUSE = 2.0
GIVEN_UP_AFTER = 1800.0
LOCK_NOT_AVAILABLE = "55P03"


class Command(migrate.Command):
    """Where PostgreSQL does not give it a lock in a second, it lets those who queue up behind it go on, and asks again.

    A task that is atomic holds its tables until it ends; whoever waits for it holds up everybody who comes later.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--give-up-after",
            type=_seconds,
            default=GIVEN_UP_AFTER,
            metavar="SECONDS",
            help=f"how long to ask for a lock, {LOCK_TIMEOUT:g} s at a time (PostgreSQL; default: {GIVEN_UP_AFTER:g})",
        )

    def handle(self, *args: Any, give_up_after: float = GIVEN_UP_AFTER, **options: Any) -> None:
        deadline = time.monotonic() + give_up_after
        with _short_waits(options["database"]):
            while True:
                try:
                    super().handle(*args, **options)
                except OperationalError as error:
                    if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                        raise
                    if time.monotonic() + PAUSE > deadline:
                        raise CommandError(_given_up(give_up_after)) from error
                else:
                    return
                if options["verbosity"]:
                    self.stdout.write(
                        f"\n  A table is in use. Once more in {PAUSE:g} s, so that nobody waits behind us."
                    )
                time.sleep(PAUSE)


@contextmanager
def _short_waits(alias: str) -> Iterator[None]:
    connection = connections[alias]
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT:g}s'")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")
    return seconds


def _given_up(seconds: float) -> str:
    return (
        f"A table was in use for all of {seconds:g} s. What is applied stays applied; the same command goes on from "
        "there. Who holds it: the processes of pg_stat_activity with the oldest xact_start."
    )
