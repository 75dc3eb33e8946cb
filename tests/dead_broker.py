"""A broker that is away, and one that hangs, for code that publishes from the tests' own process."""

import socket
from collections.abc import Iterator

import pytest
from kombu import pools

from project import celery_app
from tests.services import free_port


@pytest.fixture
def absent_broker() -> Iterator[None]:
    """Nobody listens where the broker should be."""
    yield from _publish_to(free_port())


@pytest.fixture
def silent_broker() -> Iterator[None]:
    """Something listens where the broker should be, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield from _publish_to(listener.getsockname()[1])


def _publish_to(port: int) -> Iterator[None]:
    usual = celery_app.conf.broker_write_url
    _connect_to(f"amqp://guest:guest@127.0.0.1:{port}//")
    yield
    _connect_to(usual)


def _connect_to(url: str) -> None:
    pools.reset()
    celery_app.conf["broker_write_url"] = url
    # Both keep the connection that they made first.
    vars(celery_app)["_pool"] = vars(celery_app.amqp)["_producer_pool"] = None
