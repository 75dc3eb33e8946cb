"""A pytest plugin: the fixture ``taskyard``, for what a test has enqueued. Needs pytest-django, and no broker."""

from collections.abc import Callable
from typing import Any

import pytest


class Taskyard:
    """``routing.testing`` in a test's hand."""

    enqueued: Callable[..., list[Any]]
    assert_enqueued: Callable[..., list[Any]]
    drain: Callable[..., list[Any]]

    def __init__(self) -> None:
        # Not at the top: pytest loads its plugins before Django is set up.
        from routing import testing

        self.enqueued = testing.enqueued
        self.assert_enqueued = testing.assert_enqueued
        self.drain = testing.drain


@pytest.fixture
def taskyard(request: pytest.FixtureRequest) -> Taskyard:
    """What the test has enqueued: ``enqueued(task)``, ``assert_enqueued(task, …)``, and ``drain()``, which runs it."""
    request.getfixturevalue("db")
    return Taskyard()
