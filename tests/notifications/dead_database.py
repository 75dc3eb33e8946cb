"""A database that is away, for code that runs in the tests' own process."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.services import free_port


@pytest.fixture
def dead_database(transactional_db: None) -> Iterator[None]:
    """Nobody listens where PostgreSQL should be, and there is no folder where SQLite's file should be."""
    usual = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update({"PORT": free_port(), "NAME": f"/nowhere/{usual['NAME']}"})
    yield
    connection.close()
    connection.settings_dict.update(usual)
