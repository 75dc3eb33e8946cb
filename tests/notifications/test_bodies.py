"""What a mail says as files of the storage: the very ones that were meant, with each recipient's own values in them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app, states
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django_celery_results.models import TaskResult
from pytest_django import Settings

import notifications.tasks  # noqa: F401  (registers them)
from notifications import bodies
from notifications.tables import Notification
from routing.ledger.tables import DeadLetter, Message
from tests.inline import deliver, drain, worker

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

TEXT, HTML = b"Your page: https://mark.invalid", b'<p>\xc3\xa4: <a href="https://mark.invalid">Your page</a></p>'
PAGE = "https://example.org/?a=1&b=2"


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.MEDIA_ROOT = tmp_path
    bodies._read.cache_clear()
    yield
    bodies._read.cache_clear()


def kept(content: bytes, name: str = "week.html") -> dict[str, str]:
    return {
        "storage_name": default_storage.save(name, ContentFile(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def call(**kwargs: Any) -> str:
    given = {"to": ["ann@example.org"], "subject": "Your week", "fill_in": {"https://mark.invalid": PAGE}, **kwargs}
    return str(current_app.send_task("notifications.notify", kwargs=given).id)


def run(**kwargs: Any) -> None:
    call(**kwargs)
    with worker():
        drain()


def test_files_are_read_and_filled_in() -> None:
    run(text=kept(TEXT, "week.txt"), html=kept(HTML))

    (sent,) = mail.outbox
    assert f"Your page: {PAGE}" in sent.body
    assert '<p>ä: <a href="https://example.org/?a=1&amp;b=2">Your page</a></p>' in sent.alternatives[0][0]  # type: ignore[attr-defined]
    assert PAGE in Notification.objects.get().text


def test_a_text_that_is_given_as_it_is_is_filled_in_too() -> None:
    run(text=TEXT.decode())

    assert f"Your page: {PAGE}" in mail.outbox[0].body


@pytest.mark.parametrize(
    ("becomes", "why"),
    [
        (HTML + b" and more", "is another one than was meant"),
        (None, "is not in the storage, or not any more"),
    ],
)
def test_another_file_than_was_meant_fails_for_good(becomes: bytes | None, why: str) -> None:
    html = kept(HTML)
    path = Path(default_storage.path(html["storage_name"]))
    path.unlink() if becomes is None else path.write_bytes(becomes)

    run(text="Hello", html=html)

    assert why in str(DeadLetter.objects.get().error)
    assert not Notification.objects.exists()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"storage_name": "../../secret", "sha256": "0" * 64}, "is not in the storage"),
        ({"storage_name": "", "sha256": "0" * 64}, "neither a text nor a file"),
        ({"storage_name": "week.html", "sha256": "0" * 63}, "neither a text nor a file"),
    ],
)
def test_what_names_no_file_is_refused(body: dict[str, str], why: str) -> None:
    run(text=body)

    assert why in str(DeadLetter.objects.get().error)


def test_a_file_that_is_no_text_is_refused() -> None:
    run(text=kept(b"\xff\xfe"))

    assert "not written in UTF-8" in str(DeadLetter.objects.get().error)


def test_a_storage_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = call(text=kept(TEXT))

    def away(*_args: Any) -> None:
        raise OSError("No route to host")

    with worker():
        with monkeypatch.context() as patched:
            patched.setattr(default_storage, "open", away)
            deliver(Message.objects.get(pk=task_id))
        assert "cannot be read from the storage" in str(Message.objects.get(pk=task_id).error)
        drain()

    assert TaskResult.objects.get(task_id=task_id).status == states.SUCCESS
    assert PAGE in mail.outbox[0].body


def test_ten_thousand_mails_read_their_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"text": kept(TEXT), "fill_in": {"https://mark.invalid": PAGE}}
    first = bodies.filled_in(given)
    monkeypatch.setattr(default_storage, "open", None)

    assert bodies.filled_in(given) == first
