"""A caller: enqueues a mix of everything at a steady rate, and journals what it was promised. Killed at any time."""

import argparse
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connection, transaction

from routing.ledger.tables import Message
from tests.chaos import sabotage
from tests.chaos.journal import Journal, Verdict
from tests.chaos.kinds import DEPLOYED
from tests.chaos.mix import Mix

logger = logging.getLogger(__name__)

LONGEST_DEBT = 10.0
"""Seconds of calls that are made up for at once, after a service was away."""
TOO_MANY = 1000
"""Tasks in flight above which callers pause, so that a run also comes to its end."""
LOOK_EVERY = 2.0
ROLLED_BACK, BARE = 0.08, 0.15
"""Shares of all transactions."""


class RolledBack(Exception):
    """On purpose: none of the transaction's tasks may ever be seen."""


class Caller:
    def __init__(self, journal: Journal, mix: Mix, *, chance: random.Random, rate: float) -> None:
        self._journal = journal
        self._chance = chance
        self._mix = mix
        self._rate = rate
        self._looked_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        due_at = time.monotonic()
        while not stop.is_set():
            due_at = max(due_at + self.call_once() / self._rate, time.monotonic() - LONGEST_DEBT)
            stop.wait(max(0.0, due_at - time.monotonic()))
            while not stop.is_set() and self._must_wait():
                stop.wait(LOOK_EVERY)

    def call_once(self) -> int:
        """One transaction, or a single call outside any. How many tasks that were to be."""
        try:
            return self._bare() if self._chance.random() < BARE else self._transaction()
        except (DatabaseError, InterfaceError) as error:
            # What was intended and has no verdict in the journal counts as unknown.
            logger.info("The database is away: %s", error)
            connection.close()
            return 1

    def _bare(self) -> int:
        sent, call = self._mix.bare()
        number = self._journal.intend([sent])
        call()
        self._journal.conclude(number, Verdict.COMMITTED)
        return 1

    def _transaction(self) -> int:
        is_rolled_back, number, count = self._chance.random() < ROLLED_BACK, "", 0
        try:
            with transaction.atomic():
                sent = [self._mix.send() for _ in range(self._chance.randint(1, 3))]
                count = sum(len(one.tasks) for one in sent)
                # From here to the end of the block nothing but the commit can fail.
                number = self._journal.intend(sent)
                if is_rolled_back and not sabotage.strikes("phantom", number):
                    raise RolledBack
        except RolledBack:
            self._mix.forget()
        self._journal.conclude(number, Verdict.ROLLED_BACK if is_rolled_back else Verdict.COMMITTED)
        return count

    def _must_wait(self) -> bool:
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return False
        try:
            if Message.objects.count() < TOO_MANY:
                self._looked_at = time.monotonic()
                return False
        except (DatabaseError, InterfaceError):
            # The next call shall meet that, too.
            connection.close()
            return False
        logger.info("More than %d tasks are in flight; waiting", TOO_MANY)
        return True


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--seed", required=True)
    parser.add_argument("--rate", type=float, required=True)
    given = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder = Path(os.environ["TASKYARD_CHAOS_FOLDER"])
    journal = Journal(folder / "journal", given.name)
    # Another life makes other calls than the one before.
    chance = random.Random(f"{given.seed}/{given.name}/{journal.life}")  # noqa: S311
    weights = DEPLOYED if os.environ.get("TASKYARD_CHAOS_RELEASE") else None
    Caller(journal, Mix(chance, weights), chance=chance, rate=given.rate).run(stop)
