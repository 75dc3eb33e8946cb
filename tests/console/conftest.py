"""Who looks at the console, and what stands behind it."""

import socket
from collections.abc import Callable, Iterator

import pytest
from celery import current_app
from django.contrib.auth.models import Permission, User
from django.test import Client
from kombu import Connection

from routing.domains import registry
from tests.services import free_port

Serve = Callable[..., None]


@pytest.fixture
def viewer(client: Client, db: None) -> Client:
    """Signed in as somebody who may look at results, and at what tasks were called with, and do nothing else."""
    user = User.objects.create(username="viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_taskresult", "view_payload"]))
    client.force_login(user)
    return client


@pytest.fixture
def stranger(client: Client, db: None) -> Client:
    """Signed in as staff without any permission."""
    client.force_login(User.objects.create(username="stranger", is_staff=True))
    return client


@pytest.fixture
def serve(clean_broker: Connection) -> Iterator[Serve]:
    """Consume from these queues (by default from every lane) until the test ends."""
    channels = []

    def consume(*names: str) -> None:
        channel = clean_broker.channel()
        channels.append(channel)
        for name in names or registry().pools:
            channel.basic_consume(name)  # type: ignore[attr-defined]

    yield consume
    for channel in channels:
        channel.close()  # type: ignore[attr-defined]


@pytest.fixture
def absent_broker(monkeypatch: pytest.MonkeyPatch) -> int:
    """Nobody listens where the broker should be; its URL holds a password."""
    port = free_port(below=45000)
    _read_from(monkeypatch, port)
    return port


@pytest.fixture
def frozen_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Something accepts connections where the broker should be, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        _read_from(monkeypatch, port)
        yield port


def _read_from(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setitem(current_app.conf, "broker_read_url", f"amqp://ann:hush@127.0.0.1:{port}//")
