"""Brings the whole project up on this machine, step by step."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from signal import SIGTERM

from django.conf import settings
from django.core import checks

from project import preflight, readiness, samples
from project.console import BOLD, GREEN, RED, Console
from project.services import database, mail, ports, rabbitmq
from project.services.database import Account
from project.services.errors import ServiceError
from project.services.rabbitmq import Node
from project.supervisor import Program, Stage, Supervisor
from routing.broker.inspection import BrokerUnavailable, inspect
from routing.domains import registry
from routing.worker import pools

BROKER, WEB, BEAT, RELAY = "broker", "web", "beat", "relay"
TICK = 0.2
BROKER_WITHIN = 90.0
LATE_AFTER = 60.0
"""Seconds after which we name what does not answer."""
SAMPLES_WITHIN = 120.0


class Startup:
    """One start, as steps to be called in the order they stand here. They raise ServiceError, which tells the cure."""

    def __init__(self, console: Console, *, started_at: float) -> None:
        self._console = console
        self._started_at = started_at
        self.node = None if settings.BROKER_URL_IS_GIVEN else _node()
        self._account: Account | None = None

    def prepare(self) -> None:
        """Find out what would keep us from starting, and install what is missing."""
        preflight.require_room(settings.VAR)
        preflight.require_rights(settings.VAR, "run", "log", "mail", "rabbitmq", "secret_key", "taskyard.sqlite3")
        ports.require(settings.PORT, variable="PORT", address=settings.BIND)
        database.check()
        mail.check()
        if self.node is None:
            _check_given_broker()
            return
        if not rabbitmq.is_installed():
            rabbitmq.install()
        self.node.prepare()

    def start(self, supervisor: Supervisor, *, with_account: bool) -> None:
        """Start the broker, all that can do without it while it boots, and then the pools."""
        self._console.reserve([BROKER, WEB, BEAT, RELAY, *registry().pools])
        if self.node is not None:
            supervisor.start(_broker_program(self.node))
        began = time.monotonic()
        made = database.migrate()
        self._did("database brought up to date" if made else "database is up to date", since=began)
        if with_account:
            self._account = database.admin_account()
        _check_project()
        supervisor.start(_web_program())
        supervisor.start(_beat_program())
        # Early, so that no pool finds that none beats.
        supervisor.start(_relay_program())
        if self.node is not None:
            self._wait_for_broker(self.node, supervisor)
        for name in registry().pools:
            supervisor.start(_pool_program(name))
        self._did(f"web server, beat, relay and {len(registry().pools)} worker pools started")

    def wait_until_ready(self, supervisor: Supervisor, *, or_fail: bool) -> None:
        """Return once everything answers; name again and again what does not, or give up over it."""
        name_at = time.monotonic() + LATE_AFTER
        while missing := readiness.lacking(beat=supervisor.pid(BEAT), relay=supervisor.pid(RELAY)):
            if time.monotonic() > name_at:
                sentence = self._not_ready(missing)
                if or_fail:
                    raise ServiceError(sentence)
                self._console.say(sentence, colour=RED)
                name_at = time.monotonic() + LATE_AFTER
            time.sleep(TICK)

    def show_samples(self) -> bool:
        """Send a sample through every queue, make a report, and print the outcomes. Whether all of it succeeded."""
        self._console.say(f"Sending a sample through each of {len(registry().pools)} queues …")
        outcomes = samples.run(seconds=SAMPLES_WITHIN)
        self._console.say(samples.table(outcomes, coloured=self._console.coloured))
        reported = samples.make_report(seconds=SAMPLES_WITHIN)
        if reported:
            self._console.say(f"The report of this week so far is on its way to {settings.DEFAULT_FROM_EMAIL}.")
        if failed := [outcome.queue for outcome in outcomes if not outcome.well]:
            logs = ", ".join(str(self._console.log(name)) for name in failed)
            self._console.say(f"Not every sample succeeded; the logs tell why: {logs}", colour=RED)
        elif not reported:
            self._console.say(f"The report was not sent; the logs in {self._console.folder} tell why.", colour=RED)
        return reported and not failed

    def announce(self) -> None:
        """Say that it is ready, and where everything is."""
        seconds = time.time() - self._started_at
        self._console.say(f"ready after {seconds:.1f} s", colour=GREEN)
        for what, where in (
            ("Admin", f"{settings.SITE_URL}/admin/   {self.credentials()}"),
            ("API", f"{settings.SITE_URL}/api/v1/docs"),
            ("Mail", _mail()),
            ("Logs", str(self._console.folder)),
            ("Stop", "Ctrl-C"),
        ):
            self._console.say(f"  {what:<6} {where}", colour=BOLD)

    def credentials(self) -> str:
        """How to log in. A new account's password is told once, here."""
        account, self._account = self._account, None
        if account is None:
            return ""
        if account.password is None:
            return (
                f"user {account.name}; new password: {_shown(sys.executable)} manage.py changepassword {account.name}"
            )
        return f"user {account.name}, password {account.password} (shown only now)"

    def _wait_for_broker(self, node: Node, supervisor: Supervisor) -> None:
        began = time.monotonic()
        while not rabbitmq.answers(node.port):
            if supervisor.deaths(BROKER) > 1:
                raise ServiceError(f"RabbitMQ cannot start. The end of {node.log} says why:\n{node.last_words()}")
            if time.monotonic() - began > BROKER_WITHIN:
                raise ServiceError(
                    f"RabbitMQ does not answer on port {node.port}. See {node.log.parent} for the reason."
                )
            time.sleep(TICK)
        self._did(f"RabbitMQ answers on port {node.port}", since=began)

    def _not_ready(self, missing: dict[str, str]) -> str:
        lines = [f"Not ready after {time.time() - self._started_at:.0f} s:"]
        for subject, sentence in missing.items():
            name = readiness.program(subject)
            lines.append(f"  {subject}: {sentence}")
            if last := self._console.last_line(name):
                lines.append(f"    {self._console.log(name)} ends with: {last}")
        return "\n".join(lines)

    def _did(self, what: str, *, since: float | None = None) -> None:
        seconds = 0.0 if since is None else time.monotonic() - since
        self._console.say(f"  {what}{f', {seconds:.0f} s' if seconds >= 1 else ''}")


def _node() -> Node:
    return Node(
        folder=settings.VAR / "rabbitmq",
        port=settings.BROKER_PORT,
        consumer_timeout=settings.TASKYARD_CONSUMER_TIMEOUT,
    )


def _broker_program(node: Node) -> Program:
    return Program(
        name=BROKER,
        command=node.command,
        environment=node.environment(),
        stage=Stage.FOUNDATION,
        output=node.log,
        farewell=((SIGTERM, timedelta(seconds=30)),),
        prepare=node.write,
        needs=node.configuration,
    )


def _web_program() -> Program:
    command = [sys.executable, "-m", "gunicorn", "--config", "python:project.web", "project.wsgi"]
    return Program(name=WEB, command=command, stage=Stage.ENTRANCE)


def _beat_program() -> Program:
    command = [sys.executable, "-m", "celery", "--app=project", "--quiet", "beat", "--loglevel=INFO"]
    return Program(name=BEAT, command=command, stage=Stage.ENTRANCE)


def _relay_program() -> Program:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "relay"]
    return Program(name=RELAY, command=command, stage=Stage.TRANSPORT)


def _pool_program(name: str) -> Program:
    """``manage.py pool NAME``, without the checks: ours have just passed."""
    return Program(
        name=name,
        command=pools.command(pools.get(name)),
        stage=Stage.WORK,
        # The pool itself gives back what it cannot finish in that time.
        farewell=((SIGTERM, timedelta(seconds=settings.TASKYARD_STOP_WITHIN)),),
    )


def _check_given_broker() -> None:
    try:
        inspect(registry(), seconds=5)
    except BrokerUnavailable as error:
        raise ServiceError(str(error)) from None


def _check_project() -> None:
    serious = [message for message in checks.run_checks() if message.is_serious()]
    if serious:
        raise ServiceError("\n".join(f"{message.msg} {message.hint or ''}".strip() for message in serious))


def _mail() -> str:
    folder = getattr(settings, "EMAIL_FILE_PATH", None)
    if folder:
        return f"{folder}   (files; EMAIL_URL names a mail server)"
    if settings.EMAIL_BACKEND.startswith("anymail."):
        return settings.EMAIL_BACKEND.split(".")[2]
    return f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"


def _shown(path: str) -> str:
    """As one would type it here."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
