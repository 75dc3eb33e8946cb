"""What is past its time goes in order: what was said, the attempts, the rows. What has not ended, never."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.utils import timezone
from pytest_django import Settings

from notifications import deciding, retention, services
from notifications.consent.suppression_list import suppress
from notifications.consent.tables import Feedback, Preference, Suppression
from notifications.deciding import Fate
from notifications.tables import Attachment, Attempt, Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing.ledger import retention as clean_up
from routing.ledger.retention import Pace, What
from tests.notifications import delivery_specimens as specimens

pytestmark = pytest.mark.django_db(transaction=True)
State = Delivery.State
DAY = timedelta(days=1)
QUICK = Pace(rest=0)


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def prune(now: Any = None, **how: Any) -> dict[str, int]:
    removed = clean_up.prune(now=now or timezone.now(), pace=Pace(rest=0, **how)).removed
    return {what.kind: count for what, count in removed.items() if "deliver" in what.kind or "notif" in what.kind
            or "attach" in what.kind}  # fmt: skip


def attach(row: Delivery, name: str = "invoice.pdf") -> Attachment:
    stored = Attachment(notification=row.notification, name=name, content_type="application/pdf", size=4)
    stored.file.save(name, ContentFile(b"%PDF"), save=False)
    stored.save()
    return stored


def test_what_was_said_goes_before_what_became_of_it() -> None:
    row = specimens.sent(context={"amount": 7})
    specimens.aged(row, 31 * DAY)

    assert prune() == {"contents of notifications": 1}

    row = Delivery.objects.select_related("notification").get()
    assert (row.state, row.answer) == (State.SENT, "250 2.0.0 Ok: queued as 4F1b")
    assert (row.notification.subject, row.notification.text) == ("Your invoice of November", "")
    assert deciding.resend(row, by="ada") is Fate.EMPTIED


def test_values_and_secrets_of_one_recipient_go_too() -> None:
    row = specimens.sent()
    Delivery.objects.update(context={"name": "Ann"}, sealed="gAAAA")
    specimens.aged(row, 31 * DAY)

    assert prune()["values of deliveries"] == 1

    row.refresh_from_db()
    assert (row.context, row.sealed) == ({}, "")
    assert row.emptied_at is not None
    assert prune() == {}


def test_attempts_and_then_all_of_it_go(settings: Settings) -> None:
    row = specimens.sent()
    Suppression.objects.create(channel="email", address_key=row.address_key, reason="bounced", delivery=row)
    Preference.objects.create(address_key=row.address_key, category="news", wanted=False)
    specimens.aged(row, 91 * DAY)
    assert prune()["attempts at deliveries"] == 1
    assert Delivery.objects.exists()

    specimens.aged(row, 366 * DAY)
    assert prune() == {"deliveries": 1, "notifications": 1}

    assert not Notification.objects.exists()
    assert Suppression.objects.get().delivery is None
    assert Preference.objects.exists()


def test_a_delivery_that_goes_takes_its_attempts_along(settings: Settings) -> None:
    settings.TASKYARD_ATTEMPTS_KEPT = timedelta(days=9999)
    specimens.aged(specimens.sent(), 366 * DAY)

    prune()

    assert not Delivery.objects.exists()
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("make", [specimens.delivery, specimens.undecided])
def test_what_has_not_ended_stays_however_old(make: Any) -> None:
    row = make()
    attach(row)
    specimens.aged(row, 4000 * DAY)

    assert prune() == {}

    notification = Notification.objects.get()
    assert (notification.text, Attachment.objects.count()) == ("It is due.\n", 1)


def test_what_ended_late_is_as_young_as_its_end() -> None:
    row = specimens.sent()
    specimens.aged(row, 400 * DAY)
    Delivery.objects.update(finished_at=timezone.now() - DAY)

    assert prune().keys() <= {"attempts at deliveries"}


def test_a_notification_that_is_still_being_stored_keeps_what_it_says() -> None:
    row = specimens.sent()
    specimens.aged(row, 31 * DAY)
    Notification.objects.update(is_complete=False)

    assert prune() == {}


def test_one_recipient_who_waits_keeps_it_for_all() -> None:
    notification = services.notify(["ann@example.org", "ben@example.org"], subject="Hi", text="Hello")
    notification.deliveries.filter(position=0).update(state=State.SENT, finished_at=timezone.now())
    specimens.aged(notification, 400 * DAY)

    assert prune() == {"deliveries": 1}

    notification.refresh_from_db()
    assert notification.text == "Hello"


def test_a_notification_sent_again_while_it_is_emptied_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the emptying, somebody sends it again."""
    row = specimens.sent()
    specimens.aged(row, 31 * DAY)
    kind = retention.Contents(timezone.now())
    assert deciding.resend(Delivery.objects.select_related("notification").get(), by="ada") is Fate.RESENT

    kind.delete([row.notification_id])

    assert Notification.objects.get().text == "It is due.\n"


def test_files_go_with_what_was_said(storage: Path) -> None:
    row = specimens.sent()
    stored = attach(row)
    path = Path(stored.file.path)
    specimens.aged(row, 31 * DAY)

    assert prune()["attachments"] == 1

    assert not path.exists()


def test_a_file_of_the_application_itself_stays(storage: Path) -> None:
    row = specimens.sent()
    name = default_storage.save("invoices/7.pdf", ContentFile(b"%PDF"))
    Attachment.objects.create(notification=row.notification, name="7.pdf", size=4, file=name)
    specimens.aged(row, 400 * DAY)

    assert prune()["attachments"] == 1

    assert (storage / name).exists()


def test_a_clean_up_that_dies_leaves_file_and_row_together(monkeypatch: pytest.MonkeyPatch) -> None:
    row = specimens.sent()
    stored = attach(row)
    specimens.aged(row, 31 * DAY)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("routing.ledger.retention.records.add", dies)
    with pytest.raises(KeyboardInterrupt):
        prune()

    assert Attachment.objects.get().pk == stored.pk
    assert Path(stored.file.path).exists()


@pytest.fixture
def orphan(storage: Path) -> Path:
    """A file whose transaction was rolled back a week ago."""
    day = timezone.now() - 7 * DAY
    name = default_storage.save(f"notifications/{day:%Y/%m/%d}/lost.pdf", ContentFile(b"%PDF"))
    return storage / name


def test_files_of_transactions_that_were_rolled_back_go(orphan: Path) -> None:
    beside = Attachment(notification=specimens.sent().notification, name="kept.pdf", size=4)
    beside.file.name = str(orphan.relative_to(orphan.parents[4])).replace("lost", "kept")
    beside.save()
    Path(beside.file.path).write_bytes(b"%PDF")

    assert prune() == {"orphaned files of attachments": 1}

    assert not orphan.exists()
    assert Path(beside.file.path).exists()


def test_folders_of_days_without_files_go(orphan: Path) -> None:
    prune()

    assert not orphan.parent.exists()


def test_a_file_of_today_may_belong_to_a_transaction_that_is_open(storage: Path) -> None:
    day = timezone.now()
    name = default_storage.save(f"notifications/{day:%Y/%m/%d}/new.pdf", ContentFile(b"%PDF"))

    assert prune() == {}
    assert (storage / name).exists()


def test_bounces_and_complaints_go_and_what_came_of_them_stays() -> None:
    for number, age in enumerate((366 * DAY, 364 * DAY)):
        told = Feedback.objects.create(fingerprint=str(number), kind=Feedback.Kind.COMPLAINT, source="mailbox")
        Feedback.objects.filter(pk=told.pk).update(received_at=timezone.now() - age)
    suppress("ann@example.org", reason=Suppression.Reason.COMPLAINED)

    removed = clean_up.prune(now=timezone.now(), pace=QUICK).removed

    assert removed[What("bounces and complaints", "notifications", "complaint")] == 1
    assert Feedback.objects.get().fingerprint == "1"
    assert Suppression.objects.exists()


def test_versions_of_templates_stay() -> None:
    template = Template.objects.create(name="old")
    TemplateVersion.objects.create(template=template, number=1, subject="Hi")
    # Past its own manager, which lets nobody change one.
    QuerySet(TemplateVersion).update(created_at=timezone.now() - 4000 * DAY)

    prune()

    assert TemplateVersion.objects.exists()


def test_the_preview_tells_exactly_what_goes(orphan: Path) -> None:
    for number in range(7):
        specimens.aged(specimens.sent(f"p{number}@example.org"), 400 * DAY)
    now = timezone.now()
    told = {what.kind: count for what, count in clean_up.preview(now=now).items()}

    gone = prune(now, rows=3)

    # Attempts that go by themselves go before their deliveries would take them along.
    assert gone == {kind: told[kind] for kind in gone}
    assert gone["deliveries"] == 7


def test_no_row_is_loaded_where_something_listens_to_deletions() -> None:
    heard: list[Any] = []

    def listen(**event: Any) -> None:
        heard.append(event)

    specimens.aged(specimens.sent(), 400 * DAY)
    post_delete.connect(listen)
    try:
        prune()
    finally:
        post_delete.disconnect(listen)
    assert heard == []


def test_nothing_points_at_what_goes_along_with_its_notification() -> None:
    """A table that does needs a thought in retention.py, which looks one step far."""
    pointing = {*Delivery._meta.related_objects, *Notification._meta.related_objects}
    along = {each.related_model for each in pointing} - {Delivery}

    assert {model: model._meta.related_objects for model in along} == dict.fromkeys(along, ())


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    specimens.aged(specimens.sent(), 400 * DAY)

    call_command("cleanup", "--dry-run")

    told = capsys.readouterr().out
    assert "deliveries" in told
    assert "contents of notifications" in told
    assert Delivery.objects.exists()
