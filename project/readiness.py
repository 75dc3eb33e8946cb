"""Whether everything that was started answers, as web server, broker and database tell."""

import http
import http.client
import socket

from django.conf import settings
from django.db import DatabaseError

from routing.console import survey
from routing.ledger import processes
from routing.ledger.tables import Process

SECONDS = 3


def lacking(*, beat: int | None, relay: int | None) -> dict[str, str]:
    """What does not answer yet, each with a sentence; empty when all is ready. Told the pids of this start's own."""
    own = {**_beats(Process.Role.BEAT, beat), **_beats(Process.Role.RELAY, relay)}
    return {**_web(), **own, **{finding.subject: finding.sentence for finding in survey.take().problems}}


def program(subject: str) -> str:
    """The program to look at when this subject of a survey is not well."""
    return subject.removeprefix("lane ").removeprefix("worker ").partition("@")[0]


def _web() -> dict[str, str]:
    connection = http.client.HTTPConnection(_address(), settings.PORT, timeout=SECONDS)
    try:
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return {"web": "The web server does not answer yet."}
    finally:
        connection.close()
    return {} if status == http.HTTPStatus.OK else {"web": f"The web server answers {status} to /health/live."}


def _beats(role: str, pid: int | None) -> dict[str, str]:
    """A survey is content with any process that lived half a minute ago; this start wants its own."""
    if pid is not None:
        live = processes.beating(role, within=Process.LATE_AFTER).filter(host=socket.gethostname(), pid=pid)
        try:
            if live.exists():
                return {}
        except DatabaseError as error:
            return {"database": f"{error}"}
    return {role: f"The {role} has not shown itself in the database yet."}


def _address() -> str:
    """Who listens at every address is asked at the loopback one."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.BIND, settings.BIND)  # noqa: S104
