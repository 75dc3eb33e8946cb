"""``manage.py roll_up``: count what has been recorded into the hours' roll-ups, now."""

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from reporting.rollups import gathering


class Command(BaseCommand):
    help = (
        "Count the results recorded since the last time into the roll-ups by the hour, which reports are made from. "
        "Beat does that every five minutes; after an upgrade with millions of results this is quicker."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        progress = gathering.roll_up(budget=timedelta.max)
        if options["json"]:
            self.stdout.write(json.dumps(progress.as_json()))
            return
        until = progress.complete_until
        done = f"All results up to {until:%Y-%m-%d %H:%M:%S} UTC are counted" if until else "None is counted yet"
        self.stdout.write(f"Counted {progress.counted:,} results. {done}.")
