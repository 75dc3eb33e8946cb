"""A relay whose database goes away."""

from collections.abc import Callable

import pytest
from django.db import connection
from kombu import Connection

from routing.ledger.tables import Outbox
from tests.relay.ledger import ready, waiting
from tests.services import Postgresql
from tests.waiting import until
from tests.workers import Process as Program

pytestmark = [pytest.mark.broker, pytest.mark.pipeline]


def test_a_relay_lives_through_a_restart_of_the_database(
    start_relay: Callable[..., Program], clean_broker: Connection, database_server: Postgresql | None
) -> None:
    if database_server is None:
        pytest.skip("SQLite has no server")
    relay = start_relay()
    database_server.stop()
    relay.until_it_says("Nothing is published: The database cannot be used")
    database_server.start()
    connection.close()

    waiting()

    until(lambda: not Outbox.objects.exists(), what="the publication")
    assert ready(clean_broker, "reporting") == 1
    assert not relay.is_dead
