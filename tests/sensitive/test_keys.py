"""SECRET_KEY may change: with the old one beside it all goes on, and without it nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from routing import sealing
from routing.ledger.tables import Message
from routing.worker.opening import NoKey
from tests.inline import deliver, drain, worker
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import CARD, assert_is_nowhere

tasks: Any = typed_tasks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def owner() -> Iterator[None]:
    with worker():
        yield


def test_old_and_new_key_go_side_by_side(tmp_path: Path, settings: LazySettings) -> None:
    path, old = tmp_path / "noted", settings.SECRET_KEY
    tasks.note.delay(str(path), CARD)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", [old]
    tasks.note.delay(str(path), CARD)

    drain()

    assert path.read_text().splitlines() == [repr(CARD)] * 2


def test_without_its_key_the_task_goes_back_and_runs_once_it_is_there(
    tmp_path: Path, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    path, old = tmp_path / "noted", settings.SECRET_KEY
    tasks.note.delay(str(path), CARD)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", []

    for _ in range(5):
        deliver(Message.objects.get())

    message = Message.objects.get()
    assert (message.state, message.owner, message.runs) == ("PENDING", None, 0), "it is no attempt, and no poison"
    assert "Put that key into SECRET_KEY_FALLBACKS" in (message.error or "")
    assert "Put that key into SECRET_KEY_FALLBACKS" in caplog.text
    assert not path.exists()

    settings.SECRET_KEY_FALLBACKS = [old]
    drain()
    assert path.read_text() == f"{CARD!r}\n"
    assert_is_nowhere(caplog.text)


def test_a_task_that_is_called_as_a_function_tells_so_too(settings: LazySettings) -> None:
    sealed = tasks.note.secret.sealed(("x", CARD), {})[0]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new one", []

    with pytest.raises(NoKey, match="SECRET_KEY_FALLBACKS"):
        tasks.note(*sealed)


@pytest.mark.any_database
def test_what_is_sealed_for_one_purpose_is_not_opened_for_another() -> None:
    with pytest.raises(sealing.SealedOtherwise):
        sealing.unseal(sealing.seal(b"x", purpose="arguments"), purpose="notifications")
