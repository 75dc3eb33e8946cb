"""``manage.py relay``: publishes what the ledger holds to RabbitMQ, until it is told to stop."""

import signal
import socket
import threading
from typing import Any

from celery import current_app
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing import alarm
from routing.broker import expiry, pair
from routing.broker.collector import Collector
from routing.broker.keeper import Keeper
from routing.broker.publisher import BrokerTrouble
from routing.broker.relay import Config, Relay
from routing.ledger import redrive

COLLECTED_WITHIN = 10
"""Seconds for the message at hand; what was not acked by then RabbitMQ gives again."""
TOLD_WITHIN = 5


class Command(BaseCommand):
    help = "Publish to RabbitMQ what is due in the ledger. Run one or more; SIGTERM ends it after the batch at hand."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, help="publications confirmed together")
        parser.add_argument("--window", type=int, help="messages that may be ready in a queue")
        parser.add_argument("--embedded", action="store_true", help="end when another relay runs; for workers")
        parser.add_argument(
            "--once",
            action="store_true",
            help="publish one batch of each queue, expire, empty the dead-letter queues, and end",
        )

    def handle(self, *, batch: int | None, window: int | None, embedded: bool, once: bool, **_: Any) -> None:
        # What hangs on a task that is settled here may be other tasks.
        current_app.loader.import_default_modules()
        try:
            config = Config.from_settings(window=window, batch=batch)
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        if once:
            self._once(config)
        else:
            _run(config, embedded=embedded)

    def _once(self, config: Config) -> None:
        stop = threading.Event()
        relay, collector = Relay(config, stop=stop), Collector(stop=stop)
        try:
            count, _ = relay.run_once()
            collected = collector.run_once().total()
        except BrokerTrouble as error:
            raise CommandError(str(error)) from None
        finally:
            relay.close()
            collector.close()
        again, expired = redrive.of_dead_owners(), expiry.sweep()
        self.stdout.write(
            f"{count} published, {again} of dead processes put right, {expired} expired, "
            f"{collected} taken from dead-letter queues."
        )


def _run(config: Config, *, embedded: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    name = f"relay@{socket.gethostname()}"
    keeper = Keeper(name=name, embedded=embedded, stop=stop)
    keeper.start()
    watch = alarm.start(name, stop=stop)
    collector = Collector(stop=stop, stands_by=lambda: keeper.stands_by)
    collector.start()
    try:
        pair.run(config, stop=stop, keeper=keeper)
    finally:
        stop.set()
        collector.join(COLLECTED_WITHIN)
        if watch is not None:
            # What it has just told it writes down, so that nobody else tells it again.
            watch.join(TOLD_WITHIN)
        keeper.end()
