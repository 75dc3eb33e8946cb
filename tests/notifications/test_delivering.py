"""A delivery on its way, over a real mail server: what is recorded of it, and what a death in the window leaves."""

from collections.abc import Iterator
from typing import Any

import pytest

from notifications import services
from notifications.consent.tables import Suppression
from notifications.delivering import UNKNOWN, Refused, deliver
from notifications.problems import InvalidNotification
from notifications.tables import Attempt, Delivery, Notification
from routing.errors import TransientError
from routing.ledger.tables import Message
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
State, Outcome = Delivery.State, Attempt.Outcome
ANN, BEN = "ann@example.org", "ben@example.org"


def letter(to: Any = ANN, **changes: Any) -> Notification:
    return services.notify(to, **{"subject": "Your invoice", "text": "It is due.\n", **changes})


def run(delivery: Delivery) -> dict[str, Any]:
    return deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)


def the(notification: Notification, position: int = 0) -> Delivery:
    return notification.deliveries.get(position=position)


def test_each_recipient_has_a_delivery_and_a_task_of_its_own() -> None:
    notification = letter([ANN, f"Ben <{BEN}>"], lane="urgent")

    first, second = notification.deliveries.order_by("position")
    assert (first.address_key, second.address_key) == (ANN, BEN)
    tasks = Message.objects.filter(pk__in=[first.task_id, second.task_id])
    assert {(row.task, row.queue) for row in tasks} == {("notifications.deliver", "notifications.urgent")}
    assert (notification.recipients, notification.is_complete) == (2, True)


def test_a_key_asked_for_again_is_the_same_notification() -> None:
    first, second = letter(key="invoice:7"), letter(key="invoice:7")

    assert first == second
    assert Delivery.objects.count() == 1


def test_nothing_is_stored_where_one_address_is_none() -> None:
    with pytest.raises(InvalidNotification, match=r"to\.1 cannot be written to: 'nobody' is no"):
        letter([ANN, "nobody"])

    assert not Notification.objects.exists()
    assert not Message.objects.exists()


def test_a_sent_delivery_tells_when_and_what_the_server_said(mail_server: MailServer) -> None:
    delivery = the(letter())

    result = run(delivery)

    delivery.refresh_from_db()
    attempt = delivery.attempts.get()
    assert (result["state"], delivery.state, delivery.answer) == ("sent", State.SENT, "250 taken")
    assert (attempt.outcome, attempt.code, attempt.number) == (Outcome.ACCEPTED, 250, 1)
    assert attempt.started_at <= attempt.ended_at
    assert mail_server.deliveries[0].message["Message-ID"] == delivery.message_id


def test_a_delivery_that_is_run_again_is_not_sent_again(mail_server: MailServer) -> None:
    delivery = the(letter())

    assert run(delivery) == run(delivery)

    assert len(mail_server.deliveries) == 1


def test_what_is_refused_for_now_stays_pending_and_comes_back(mail_server: MailServer) -> None:
    mail_server.once = {ANN: "450 4.2.0 Greylisted"}
    delivery = the(letter())

    with pytest.raises(TransientError, match=r"450 4.2.0 Greylisted"):
        run(delivery)
    assert the(delivery.notification).state == State.PENDING
    run(delivery)

    assert [attempt.outcome for attempt in delivery.attempts.order_by("number")] == [
        Outcome.TEMPORARY,
        Outcome.ACCEPTED,
    ]


def test_an_address_that_is_refused_for_good_is_not_written_to_again(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "550 5.1.1 No such user"}
    delivery = the(letter())

    with pytest.raises(Refused, match=r"ann@example.org: 550 5.1.1 No such user"):
        run(delivery)

    assert the(delivery.notification).state == State.FAILED
    assert Suppression.objects.get().address_key == ANN
    assert run(the(letter()))["state"] == "suppressed"
    assert not mail_server.deliveries


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process ends when the server has taken the message, before that is written down."""
    from notifications.channels import smtp

    taken = smtp._transfer

    def transfer(*args: Any) -> Any:
        taken(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(smtp, "_transfer", transfer)
    yield
    smtp.disconnect()


def test_a_death_in_the_window_sends_again_under_the_same_id(
    mail_server: MailServer, dying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = the(letter(category="account"))
    with pytest.raises(KeyboardInterrupt):
        run(delivery)
    assert the(delivery.notification).state == State.SENDING
    monkeypatch.undo()

    run(delivery)

    first, second = mail_server.deliveries
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert [one.outcome for one in delivery.attempts.order_by("number")] == [Outcome.UNKNOWN, Outcome.ACCEPTED]


def test_a_death_in_the_window_is_asked_about_where_the_category_says_so(
    mail_server: MailServer, dying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = the(letter(category="news"))
    with pytest.raises(KeyboardInterrupt):
        run(delivery)
    monkeypatch.undo()

    assert run(delivery)["reason"] == UNKNOWN

    assert the(delivery.notification).state == State.SENDING
    assert len(mail_server.deliveries) == 1
