"""Fixtures that every test may use."""

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections

from tests import services
from tests.chromium import chromium
from tests.workers import clean_broker, start_relay, start_worker

__all__ = ["chromium", "clean_broker", "start_relay", "start_worker"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Without the groups that the migrations make: tests count their own, and the first flush takes these away."""
    with django_db_blocker.unblock():
        Group.objects.all().delete()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_server: services.Postgresql | None) -> None:
    """Start the server before pytest-django makes its database; keep SQLite's in a file that workers can open."""
    if services.DATABASE == "sqlite":
        connections.databases["default"]["TEST"]["NAME"] = str(services.FOLDER / "tests.sqlite3")
