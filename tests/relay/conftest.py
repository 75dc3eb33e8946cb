"""A relay within the test's own process."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from kombu import Connection

from routing.broker.relay import Config, Relay
from tests.relay.clock import Clock

MakeRelay = Callable[..., Relay]


@pytest.fixture
def relay_of(transactional_db: None, clean_broker: Connection) -> Iterator[MakeRelay]:
    """Make a relay with these figures; each of the test's relays says goodbye in the end."""
    made: list[Relay] = []

    def make(**figures: Any) -> Relay:
        config = Config(**{"window": 5000, "batch": 200, "confirm_timeout": timedelta(seconds=15), **figures})
        made.append(Relay(config, stop=threading.Event()))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


@pytest.fixture
def relay(relay_of: MakeRelay) -> Relay:
    return relay_of()


@pytest.fixture
def clock() -> Clock:
    return Clock()
