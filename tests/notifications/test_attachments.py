"""Files that go with a notification: from the call, over the storage, into the message."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from notifications import attachments, services
from notifications.attachments import is_ours, stored
from notifications.delivering import Refused
from notifications.problems import InvalidNotification
from notifications.tables import Attachment, Delivery, Notification
from routing import testing
from routing.ledger.tables import Message as Task

pytestmark = pytest.mark.django_db

PDF = b"%PDF-1.7\r\n\x00\xff"


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    settings.MEDIA_ROOT = tmp_path / "files"
    attachments.of.cache_clear()
    yield settings.MEDIA_ROOT
    attachments.of.cache_clear()


def letter(*files: Any, to: Any = "ann@example.org", **changes: Any) -> Notification:
    given = {"subject": "Your invoice", "text": "It is due.\n", "attachments": list(files), **changes}
    return services.notify(to, **given)


def sent() -> list[tuple[Any, Any, str]]:
    """Names, contents and types in the last message, as a mail reader finds them."""
    message = mail.outbox[-1].message()
    parts = [part for part in message.walk() if part.get_filename()]
    return [(part.get_filename(), part.get_payload(decode=True), part.get_content_type()) for part in parts]


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_files_of_every_kind_arrive_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "invoice.pdf"
    path.write_bytes(PDF)
    default_storage.save("terms/2026.txt", ContentFile(b"a\rb\nc\r\n"))
    upload = SimpleUploadedFile("Größe.csv", "ß;1\n".encode(), content_type="text/csv")

    letter(
        path,
        ("table.json", b"{}"),
        ("data", PDF, "application/x-own"),
        upload,
        ContentFile(b"note", name="note.txt"),
        stored("terms/2026.txt", name="Terms.txt"),
    )
    testing.drain()

    assert sent() == [
        ("invoice.pdf", PDF, "application/pdf"),
        ("table.json", b"{}", "application/json"),
        ("data", PDF, "application/x-own"),
        ("Größe.csv", "ß;1\n".encode(), "text/csv"),
        ("note.txt", b"note", "text/plain"),
        ("Terms.txt", b"a\rb\nc\r\n", "text/plain"),
    ]
    assert upload.read() == "ß;1\n".encode()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/etc/passwd", "passwd"),
        ("..\\..\\secret.txt", "secret.txt"),
        ("a\r\nBcc: x@example.org.txt", "aBcc: x@example.org.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("  größe ✓.pdf ", "größe ✓.pdf"),
        ("x" * 500 + ".pdf", "x" * 196 + ".pdf"),
        ('a"b.txt', 'a"b.txt'),
    ],
)
def test_a_name_is_only_a_name(name: str, shown: str) -> None:
    letter((name, b"1"))
    testing.drain()

    assert [found for found, _, _ in sent()] == [shown]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (("", b"1"), "'' is no name of a file"),
        (("..", b"1"), "'..' is no name of a file"),
        (("a/", b"1"), "is no name of a file"),
        (("a.txt", "text"), "tuple is no file; give a Path"),
        (("a.txt",), "tuple is no file; give a Path"),
        (7, "int is no file"),
        ("a.txt", "str is no file"),
        (("a.txt", b"1", "text"), "'text' is no content type, such as application/pdf"),
        (("a.txt", b"1", "text/plain\r\nBcc: x"), "is no content type"),
        (Path("/no/such/file"), "cannot be read: No such file"),
        (Path("/"), "cannot be read: Is a directory"),
        (stored("no/such/file"), "is not in the storage"),
        (stored("../outside"), "is not in the storage"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_place_and_nothing_is_stored(
    storage: Path, file: Any, words: str
) -> None:
    with pytest.raises(InvalidNotification) as error:
        letter(("good.txt", b"1"), file)

    (problem,) = error.value.problems
    assert problem.field == "attachments.1"
    assert words in problem.detail
    assert not Notification.objects.exists()
    assert files_in(storage) == []


def test_what_is_too_large_is_refused_before_it_is_read_whole(settings: Settings, tmp_path: Path) -> None:
    settings.TASKYARD_MAX_ATTACHMENTS = 1000
    (tmp_path / "big").write_bytes(b"x" * 1001)

    with pytest.raises(InvalidNotification, match=r"attachments\.0 cannot be sent: .*big is larger than 1,000 bytes"):
        letter(tmp_path / "big")


def test_what_is_too_large_together_is_refused(settings: Settings) -> None:
    settings.TASKYARD_MAX_ATTACHMENTS = 1000

    with pytest.raises(InvalidNotification, match="attachments have 1,002 bytes; 1,000 bytes may go with an e-mail"):
        letter(("a", b"x" * 501), ("b", b"x" * 501))
    assert letter(("a", b"x" * 500), ("b", b"x" * 500)).attachments.count() == 2


def test_a_list_is_wanted() -> None:
    with pytest.raises(InvalidNotification, match=r"attachments is no list; write attachments=\[Path"):
        services.notify("ann@example.org", subject="Hi", text="Hi", attachments=Path("a"))


def test_a_mail_within_a_mail_is_a_file_like_any_other() -> None:
    letter(("message.eml", b"Subject: Hi\n\nHi"))
    testing.drain()

    assert sent() == [("message.eml", b"Subject: Hi\n\nHi", "application/octet-stream")]


def test_rolled_back_there_is_no_row_and_the_file_left_over_is_known_as_ours(storage: Path) -> None:
    with transaction.atomic():
        letter(("a.txt", b"1"))
        transaction.set_rollback(True)

    assert not Attachment.objects.exists()
    (orphan,) = files_in(storage)
    assert is_ours(str(orphan.relative_to(storage)))
    assert not is_ours("terms/2026.txt")


def test_a_file_is_stored_under_a_name_that_tells_nothing(storage: Path) -> None:
    letter(("run me.html", b"<script>"))

    (file,) = files_in(storage)
    assert file.suffix == ""
    assert file.parent == storage / timezone.now().strftime("notifications/%Y/%m/%d")


def test_a_file_that_is_gone_when_it_is_sent_is_a_clear_failure(storage: Path) -> None:
    notification = letter(("invoice.pdf", PDF))
    (file,) = files_in(storage)
    file.unlink()

    with pytest.raises(Refused, match=r"The file invoice\.pdf is not in the storage any more \(notifications/"):
        testing.drain()

    delivery = notification.deliveries.get()
    assert (delivery.state, delivery.reason) == (Delivery.State.FAILED, "cannot_be_made")
    assert mail.outbox == []


def test_a_storage_that_does_not_answer_is_tried_again(storage: Path) -> None:
    notification = letter(("invoice.pdf", PDF))
    (file,) = files_in(storage)
    file.unlink()
    file.mkdir()

    testing.drain(raises=False)

    delivery = notification.deliveries.get()
    assert delivery.state == Delivery.State.PENDING
    assert "cannot be read from the storage" in delivery.answer
    assert Task.objects.get().state == "RETRY"


def test_one_file_for_many_is_stored_and_read_once(
    storage: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    notification = letter(("invoice.pdf", PDF), to=[f"reader{number}@example.org" for number in range(5)])
    assert len(files_in(storage)) == 1
    first = attachments.of(notification.pk)
    files_in(storage)[0].unlink()

    with django_assert_num_queries(0):
        assert attachments.of(notification.pk) is first
    testing.drain()

    assert len(mail.outbox) == 5
    assert sent() == [("invoice.pdf", PDF, "application/pdf")]


def test_the_same_key_with_another_file_is_told_apart(caplog: pytest.LogCaptureFixture, storage: Path) -> None:
    first = letter(("invoice.pdf", PDF), key="invoice:7")

    assert letter(("invoice.pdf", PDF), key="invoice:7") == first
    assert "with other content" not in caplog.text
    assert letter(("invoice.pdf", b"another"), key="invoice:7") == first

    assert "asked for again with other content" in caplog.text
    assert len(files_in(storage)) == 1


def test_a_callers_open_file_stays_open(tmp_path: Path) -> None:
    from django.core.files import File

    path = tmp_path / "a.txt"
    path.write_bytes(b"1234")
    with path.open("rb") as opened:
        letter(File(opened, name="a.txt"))
        assert opened.read() == b"1234"
    gc.collect()
