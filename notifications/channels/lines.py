"""The connections to mail servers that this thread keeps open for the next message."""

import atexit
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from celery.signals import worker_process_shutdown
from django.core.mail.backends.smtp import EmailBackend

from notifications.channels.session import Session

KEPT_FOR = 30.0
"""Seconds that a connection may lie idle; servers end it after a few minutes."""
MESSAGES = 100
"""After so many a connection is given up: servers count, and some refuse more."""

Key = tuple[Any, ...]


@dataclass
class Line:
    """An open connection, and what it has carried."""

    key: Key
    session: Session
    used_at: float = field(default_factory=time.monotonic)
    carried: int = 0
    is_clean: bool = True
    """Whether the server is waiting for a new message. Otherwise it has to be told to forget the last one."""

    @property
    def is_good(self) -> bool:
        return self.carried < MESSAGES and time.monotonic() - self.used_at < KEPT_FOR

    def used(self, *, is_clean: bool) -> None:
        self.used_at, self.carried, self.is_clean = time.monotonic(), self.carried + 1, is_clean

    def drop(self) -> None:
        """Without a goodbye, for which a server that hangs would be waited for."""
        _kept.lines.pop(self.key, None)
        self.session.close()

    def leave(self) -> None:
        """With a goodbye, whose answer nobody waits for."""
        with suppress(OSError):
            self.session.allow(1)
            self.session.send(b"QUIT\r\n")
        self.drop()


class _Kept(threading.local):
    def __init__(self) -> None:
        self.lines: dict[Key, Line] = {}


_kept = _Kept()


def kept(backend: EmailBackend) -> Line | None:
    """The one that is open to this server, unless it is too old to be relied on."""
    line = _kept.lines.get(_key(backend))
    if line is None or line.is_good:
        return line
    line.leave()
    return None


def opened(backend: EmailBackend, *, seconds: float) -> Line:
    """A new one, which is kept. It encrypts and logs in as Django's own does. Raises OSError."""
    session = Session()
    session.allow(seconds)
    try:
        session.begin(backend.host, int(backend.port), tls=backend.ssl_context if backend.use_ssl else None)
        if backend.use_tls:
            session.starttls(context=backend.ssl_context)
        if backend.username and backend.password:
            session.login(backend.username, backend.password)
        session.ehlo_or_helo_if_needed()
    except BaseException:
        session.close()
        raise
    line = _kept.lines[_key(backend)] = Line(_key(backend), session)
    return line


def disconnect(**_: Any) -> None:
    """Let go of what this thread keeps."""
    for line in list(_kept.lines.values()):
        line.leave()


def _key(backend: EmailBackend) -> Key:
    names = ("host", "port", "username", "password", "use_tls", "use_ssl", "ssl_certfile", "ssl_keyfile")
    return tuple(getattr(backend, name) for name in names)


def _forget() -> None:
    """In a forked child: the connections are its parent's, and not a byte of its own may get into them."""
    for line in list(_kept.lines.values()):
        line.drop()


os.register_at_fork(after_in_child=_forget)
worker_process_shutdown.connect(disconnect, weak=False, dispatch_uid="notifications.channels.lines")
atexit.register(disconnect)
