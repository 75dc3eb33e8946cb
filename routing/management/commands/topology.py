"""``manage.py topology show|apply``: what the domains imply on the broker, and declaring it."""

import argparse
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from routing.broker import evidence, topology, topology_table
from routing.broker.inspection import cure
from routing.domains import registry


class Command(BaseCommand):
    help = "Show the exchanges, queues and bindings that the domains imply, or declare them on the broker."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="show|apply")
        verbs.add_parser("show", help="print the tables, as Markdown")
        verbs.add_parser("apply", help="declare everything that is missing; safe to call again")

    def handle(self, *, verb: str, **_: Any) -> None:
        if verb == "show":
            self.stdout.write(topology_table.markdown(registry()))
            return
        with current_app.connection_for_write(connect_timeout=5) as connection:
            try:
                evidence.examine(connection, registry())
                queues = topology.create(connection, registry())
            except (DatabaseError, InterfaceError) as error:
                raise CommandError(
                    "The database cannot be used, and what a missing queue has held could not be published again: "
                    f"{error}. Correct DATABASE_URL, or run manage.py migrate first."
                ) from None
            except connection.connection_errors as error:
                raise CommandError(cure(error, connection)) from None
            except connection.channel_errors as error:
                raise CommandError(f"RabbitMQ refused the topology, so nothing more was declared: {error}") from None
        self.stdout.write(f"{len(queues)} queues and their exchanges are declared on {connection.as_uri()}.")
