"""What the main process learns of its children from the page they share."""

import os
import signal
from collections.abc import Iterator

import pytest

from routing.worker import hands


@pytest.fixture
def child() -> Iterator[int]:
    """This process, as if it were a child of the pool; its main process asks about it."""
    before = hands._page, hands._step_at
    hands.open_page()
    hands.take_place()
    yield os.getpid()
    hands.end("one")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {hands.SOFT_LIMIT})
    hands._page, hands._step_at = before


def test_a_child_holds_the_task_it_is_at_and_no_other(child: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hands.begin("one")
    # As the main process sees it: another process than its own.
    monkeypatch.setattr(os, "getpid", lambda: 1)

    assert hands.holds("one", child)
    assert not hands.holds("another", child), "however long the child is busy with this one"


def test_a_process_is_at_a_task_once(child: int) -> None:
    assert [hands.begin("one"), hands.begin("one")] == [True, False]
