"""``manage.py alive ROLE`` for ``manage.py help``; manage.py itself answers it, before Django is loaded."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from routing import alive


class Command(BaseCommand):
    help = "Exit status 0 if a relay, beat or worker of this machine lives, 1 if not. For supervisors: it is cheap."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("role", choices=alive.ROLES)
        parser.add_argument("--name", help="a worker's name, such as reporting@host, or the part before the @")

    def handle(self, *, role: str, name: str | None, **_: Any) -> None:
        sys.exit(alive.main([role, *(["--name", name] if name else [])], settings.VAR / "alive"))
