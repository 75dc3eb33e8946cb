"""Fixtures that every test may use."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.test import TransactionTestCase, override_settings

from tests import emptying, services
from tests.chromium import chromium
from tests.workers import clean_broker, start_relay, start_worker

__all__ = ["chromium", "clean_broker", "start_relay", "start_worker"]


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    """As in a web process that has just started: figures are kept a moment longer than a test takes."""
    from routing.console import glance

    glance.NOW, glance.PAST = glance.readings()


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


@pytest.fixture(scope="session", autouse=True)
def _cheaper() -> Iterator[None]:
    """What each of thousands of tests would pay for, and none is about: slow passwords, and emptying empty tables."""
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    with pytest.MonkeyPatch.context() as patch, override_settings(PASSWORD_HASHERS=hashers):
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty)
        yield
