"""``manage.py redrive``: publish once more all that waits in a queue, as where RabbitMQ has lost it."""

import argparse
from difflib import get_close_matches
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from routing.domains import registry
from routing.ledger import redrive, wake
from routing.management import reachable


class Command(BaseCommand):
    help = (
        "Publish once more, under new epochs, every task that waits in these queues and that no worker runs. Safe at "
        "any time: copies that are still in RabbitMQ are acked unrun."
    )
    # It may be called when something is wrong.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("queues", nargs="*", metavar="QUEUE", help="such as notifications.urgent")
        parser.add_argument("--all", action="store_true", dest="everything", help="every queue")

    def handle(self, *, queues: list[str], everything: bool, **_: Any) -> None:
        if bool(queues) == everything:
            raise CommandError(f"Which queues? Either --all, or of these: {', '.join(registry().pools)}.")
        for queue in queues:
            _require(queue)
        with reachable.database():
            count = redrive.after_loss(None if everything else queues)
        wake.wake()
        where = "all queues" if everything else ", ".join(queues)
        what = "1 task" if count == 1 else f"{count:,} tasks"
        self.stdout.write(f"{what} of {where} {'is' if count == 1 else 'are'} published again.")


def _require(queue: str) -> None:
    pools = list(registry().pools)
    if queue not in pools:
        close = get_close_matches(queue, pools, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise CommandError(f"No domain declares the queue {queue!r}.{hint} There are: {', '.join(pools)}.")
