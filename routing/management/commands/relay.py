"""``manage.py relay``: publishes what the ledger holds to RabbitMQ, until it is told to stop."""

import signal
import socket
import threading
from typing import Any

from celery import current_app
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing.broker import expiry, pair
from routing.broker.keeper import Keeper
from routing.broker.publisher import BrokerTrouble
from routing.broker.relay import Config, Relay
from routing.ledger import redrive


class Command(BaseCommand):
    help = "Publish to RabbitMQ what is due in the ledger. Run one or more; SIGTERM ends it after the batch at hand."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, help="publications confirmed together")
        parser.add_argument("--window", type=int, help="messages that may be ready in a queue")
        parser.add_argument("--embedded", action="store_true", help="end when another relay runs; for workers")
        parser.add_argument("--once", action="store_true", help="publish one batch of each queue, expire, and end")

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
        relay = Relay(config, stop=threading.Event())
        try:
            count, _ = relay.run_once()
        except BrokerTrouble as error:
            raise CommandError(str(error)) from None
        finally:
            relay.close()
        again, expired = redrive.of_dead_owners(), expiry.sweep()
        self.stdout.write(f"{count} published, {again} of dead processes put right, {expired} expired.")


def _run(config: Config, *, embedded: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keeper = Keeper(name=f"relay@{socket.gethostname()}", embedded=embedded, stop=stop)
    keeper.start()
    try:
        pair.run(config, stop=stop, keeper=keeper)
    finally:
        keeper.end()
