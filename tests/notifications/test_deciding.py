"""What people decide about deliveries: once, whoever else decides, works or dies just then."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_results.models import TaskResult

from notifications import deciding, services
from notifications.consent.tables import Suppression
from notifications.deciding import DECIDED, Fate
from notifications.delivering import deliver
from notifications.tables import Delivery
from notifications.templating.tables import Template, TemplateVersion
from routing.errors import TransientError
from routing.ledger.tables import Message, Outbox
from tests.notifications import delivery_specimens as specimens
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
State = Delivery.State


def again(row: Delivery) -> Delivery:
    """As somebody else has it before him."""
    return Delivery.objects.select_related("notification__template").get(pk=row.pk)


def run(row: Delivery) -> dict[str, Any]:
    row.refresh_from_db()
    return deliver(str(row.notification_id), row.position, task_id=row.task_id)


@pytest.mark.parametrize("state", [State.FAILED, State.BOUNCED, State.CANCELLED, State.SENT, State.SUPPRESSED])
def test_what_has_ended_is_sent_again_by_a_task_of_its_own(state: Any, mail_server: MailServer) -> None:
    row = specimens.ended(state, lane="urgent")
    first = row.task_id

    assert deciding.resend(row, by="ada") is Fate.RESENT

    row.refresh_from_db()
    assert row.state == State.PENDING
    assert row.task_id != first
    assert Message.objects.get(pk=row.task_id).queue == "notifications.urgent"
    assert run(row)["state"] == "sent"
    assert mail_server.deliveries[0].message["Message-ID"] == row.message_id


def test_two_who_send_it_again_at_once_send_it_once(mail_server: MailServer) -> None:
    row = specimens.sent()
    one, other = again(row), again(row)

    assert [deciding.resend(one, by="ada"), deciding.resend(other, by="ben")] == [Fate.RESENT, Fate.CHANGED]

    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_eight_at_the_same_moment_send_it_once() -> None:
    row, gate = specimens.sent(), Barrier(8)

    def decide(_: int) -> Fate:
        try:
            seen = again(row)
            gate.wait(timeout=60)
            return deciding.resend(seen, by="somebody")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        fates = Counter(pool.map(decide, range(8)))

    assert fates == {Fate.RESENT: 1, Fate.CHANGED: 7}
    assert Message.objects.count() == 1


def test_one_that_was_sent_in_between_is_not_sent_once_more(mail_server: MailServer) -> None:
    row = specimens.refused()
    seen = again(row)
    deciding.resend(row, by="ada")
    run(row)

    assert deciding.resend(seen, by="ben") is Fate.CHANGED

    assert len(mail_server.deliveries) == 1


def test_the_task_of_before_does_not_send_it_a_second_time(mail_server: MailServer) -> None:
    row = specimens.refused()
    before = row.task_id
    deciding.resend(row, by="ada")
    run(row)

    deliver(str(row.notification_id), row.position, task_id=before)

    assert len(mail_server.deliveries) == 1


def test_what_is_under_way_is_not_sent_again() -> None:
    assert deciding.resend(specimens.delivery(), by="ada") is Fate.NOT_OPEN


def test_one_whose_task_is_gone_is_sent_again() -> None:
    row = specimens.delivery()
    specimens.forget_task(row)

    assert deciding.is_stranded(row)
    assert deciding.resend(row, by="ada") is Fate.RESENT


def test_a_suppressed_recipient_is_not_written_to_again_until_that_is_lifted() -> None:
    row = specimens.refused()
    Suppression.objects.create(channel="email", address_key=row.address_key, reason="bounced")

    assert deciding.resend(row, by="ada") is Fate.SUPPRESSED
    Suppression.objects.all().delete()
    assert deciding.resend(row, by="ada") is Fate.RESENT


def test_one_whose_category_is_gone_is_left_with_the_cure() -> None:
    row = specimens.refused()
    row.notification.category = "gone"

    assert deciding.resend(row, by="ada") is Fate.NO_CATEGORY
    assert Fate.NO_CATEGORY in deciding.CURES


def test_one_whose_secrets_are_gone_is_not_sent_with_masks_in_their_place() -> None:
    row = with_secret()
    Delivery.objects.filter(pk=row.pk).update(state=State.SENT, sealed="")

    assert deciding.resend(again(row), by="ada") is Fate.NO_SECRETS
    assert again(row).state == State.SENT


def test_one_that_failed_has_its_secrets_still(mail_server: MailServer) -> None:
    row = with_secret()
    Delivery.objects.filter(pk=row.pk).update(state=State.FAILED)

    assert deciding.resend(again(row), by="ada") is Fate.RESENT
    run(row)
    assert "https://example.org/s3cret" in mail_server.deliveries[0].message.get_content()


def test_a_process_that_dies_between_state_and_task_leaves_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    row = specimens.refused()

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("notifications.storing.enqueue", dies)
    with pytest.raises(KeyboardInterrupt):
        deciding.resend(row, by="ada")

    assert again(row).state == State.FAILED


def test_one_that_is_sent_again_has_the_patience_of_its_category_anew(mail_server: MailServer) -> None:
    row = specimens.refused()
    specimens.aged(row, timedelta(days=9))
    deciding.resend(again(row), by="ada")
    mail_server.once = {row.address_key: "450 Greylisted"}

    with pytest.raises(TransientError):
        run(row)
    assert again(row).state == State.PENDING


def test_what_may_have_been_sent_is_recorded_as_sent() -> None:
    row = specimens.undecided()

    assert deciding.decide(row, was_sent=True, by="ada") is Fate.RECORDED

    assert (again(row).state, again(row).reason) == (State.SENT, DECIDED)
    assert not Message.objects.exists()


def test_what_may_have_been_sent_is_sent_again_under_the_same_id(mail_server: MailServer) -> None:
    row = specimens.undecided()

    assert deciding.decide(row, was_sent=False, by="ada") is Fate.RESENT

    run(row)
    assert mail_server.deliveries[0].message["Message-ID"] == row.message_id


def test_of_two_who_decide_otherwise_the_first_is_heard() -> None:
    row = specimens.undecided()
    one, other = again(row), again(row)

    fates = [deciding.decide(one, was_sent=True, by="ada"), deciding.decide(other, was_sent=False, by="ben")]

    assert fates == [Fate.RECORDED, Fate.CHANGED]
    assert not Message.objects.exists()


def test_only_what_is_undecided_is_decided_about() -> None:
    assert deciding.decide(specimens.sent(), was_sent=False, by="ada") is Fate.NOT_OPEN


def test_a_cancelled_delivery_leaves_no_task_in_flight() -> None:
    row = specimens.delivery()

    assert deciding.cancel(row, by="ada") is Fate.CANCELLED

    assert again(row).state == State.CANCELLED
    assert not Message.objects.exists()
    assert not Outbox.objects.exists()
    assert TaskResult.objects.get(task_id=row.task_id).status == "REVOKED"


def test_a_process_that_dies_while_it_cancels_leaves_delivery_and_task(monkeypatch: pytest.MonkeyPatch) -> None:
    row = specimens.delivery()

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("routing.worker.cancelling.cancel_many", dies)
    with pytest.raises(KeyboardInterrupt):
        deciding.cancel(row, by="ada")

    assert again(row).state == State.PENDING
    assert Message.objects.filter(pk=row.task_id).exists()


def test_what_is_scheduled_for_next_month_leaves_the_ledger_when_it_is_cancelled() -> None:
    row = specimens.delivery(send_at=timezone.now() + timedelta(days=30))

    assert deciding.cancel(row, by="ada") is Fate.CANCELLED

    assert not Message.objects.exists()
    assert not Outbox.objects.exists()


def test_what_a_worker_hands_over_just_now_is_not_cancelled() -> None:
    row = specimens.delivery()
    seen = again(row)
    Delivery.objects.filter(pk=row.pk).update(state=State.SENDING, attempts_made=1)

    assert deciding.cancel(seen, by="ada") is Fate.CHANGED
    assert Message.objects.exists()


def test_a_notification_is_cancelled_in_bounded_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "BATCH", 3)
    notification = services.notify([f"p{number}@example.org" for number in range(8)], subject="Hi", text="Hello")
    notification.deliveries.filter(position=4).update(state=State.SENT)

    assert services.cancel(notification) == 7
    assert services.cancel(notification) == 0

    notification.refresh_from_db()
    assert notification.cancelled_at is not None
    assert set(notification.deliveries.values_list("state", flat=True)) == {"sent", "cancelled"}
    assert Message.objects.count() == 1


def test_undecided_ones_are_found_by_an_index() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's plan")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "notifications_not_sent" in deciding.undecided().explain()


def with_secret() -> Delivery:
    template = Template.objects.create(name="reset")
    TemplateVersion.objects.create(
        template=template,
        number=1,
        subject="Reset",
        text="Follow {{ link }} now",
        variables=[{"name": "link", "required": True, "secret": True}],
    )
    notification = services.notify("ann@example.org", template="reset", context={"link": "https://example.org/s3cret"})
    return notification.deliveries.select_related("notification__template__template").get()
