"""``manage.py up`` runs the whole project on this machine until Ctrl-C; ``make up`` comes here."""

import argparse
import logging
import os
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from project import preflight, samples
from project.console import Console
from project.services.errors import ServiceError
from project.startup import Startup
from project.supervisor import Supervisor
from project.terminal import Interruptions, Stopped, interruptions, own_foreground


class Command(BaseCommand):
    help = "Start broker, beat, worker pools and web server under one supervisor, and stop them all with Ctrl-C."
    # They run while the broker boots.
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="send a sample through every queue, print the outcomes, and stop"
        )

    def handle(self, *, demo: bool, **_: Any) -> None:
        # What this process itself has to say, it says in sentences.
        logging.getLogger().setLevel(logging.WARNING)
        console = Console(settings.VAR / "log", show_programs=not demo)
        with own_foreground(), interruptions() as handler:
            try:
                status = _run(console, handler, demo=demo)
            except ServiceError as error:
                self.stderr.write(str(error))
                status = 1
            except OSError as error:
                self.stderr.write(preflight.sentence(error, settings.VAR))
                status = 1
            finally:
                console.close()
        sys.exit(status)


def _run(console: Console, handler: Interruptions, *, demo: bool) -> int:
    """The exit status."""
    startup = Startup(console, started_at=float(os.environ.get("STARTED_AT") or time.time()))
    status = 0
    with preflight.only_one(settings.VAR):
        try:
            startup.prepare()
            with Supervisor(console) as supervisor:
                handler.hurry = supervisor.hurry.set
                try:
                    status = _serve(startup, supervisor, demo=demo)
                except Stopped:
                    # A demo that was cut short has shown nothing.
                    status = 1 if demo else 0
                finally:
                    handler.stop_expected()
                    console.say("Stopping …")
        except Stopped:
            status = 1 if demo else 0
        finally:
            if startup.node is not None:
                startup.node.stop_port_mapper()
            if login := startup.credentials():
                console.say(login)
        console.say("Everything is stopped.")
    return status


def _serve(startup: Startup, supervisor: Supervisor, *, demo: bool) -> int:
    startup.start(supervisor, with_account=not demo)
    startup.wait_until_ready(supervisor, or_fail=demo)
    if demo:
        return 0 if startup.show_samples() else 1
    wanted = samples.wanted()
    startup.announce()
    if wanted:
        startup.show_samples()
    threading.Event().wait()
    return 0
