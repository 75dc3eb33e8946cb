"""A delivery on its way, over a real mail server: what is recorded of it, and what a death in the window leaves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from notifications import services
from notifications.attempting import UNKNOWN, Try
from notifications.channels import lines
from notifications.channels.email import EmailChannel
from notifications.consent.tables import Suppression
from notifications.delivering import Refused, deliver
from notifications.problems import InvalidNotification
from notifications.tables import Attempt, Delivery, Notification
from routing import faults
from routing.errors import TransientError
from routing.ledger.tables import Message
from tests.notifications.mail_server import MailServer, mail_server
from tests.services import DATABASE, free_port

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
    assert attempt.ended_at is not None
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


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process ends when the server has taken the message, before that is written down."""

    def die(name: str) -> None:
        if name == "delivery.taken":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", die)
        with pytest.raises(KeyboardInterrupt):
            yield


def outcomes(delivery: Delivery) -> list[str]:
    return list(delivery.attempts.order_by("number").values_list("outcome", flat=True))


def test_a_death_in_the_window_sends_again_under_the_same_id(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = the(letter(category="account"))
    with dying(monkeypatch):
        run(delivery)
    assert the(delivery.notification).state == State.SENDING

    run(delivery)

    first, second = mail_server.deliveries
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert outcomes(delivery) == [Outcome.UNKNOWN, Outcome.ACCEPTED]


def test_a_death_in_the_window_is_asked_about_where_the_category_says_so(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = the(letter(category="news"))
    with dying(monkeypatch):
        run(delivery)

    assert run(delivery)["reason"] == UNKNOWN
    assert run(delivery)["reason"] == UNKNOWN

    assert the(delivery.notification).state == State.SENDING
    assert len(mail_server.deliveries) == 1


def test_who_may_have_got_it_three_times_is_not_written_to_again_unasked(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = the(letter(category="account"))
    for _ in range(3):
        with dying(monkeypatch):
            run(delivery)

    assert run(delivery)["reason"] == UNKNOWN
    assert len(mail_server.deliveries) == 3
    assert outcomes(delivery) == [Outcome.UNKNOWN] * 3


def test_a_server_that_breaks_off_over_the_end_is_tried_again_three_times(mail_server: MailServer) -> None:
    mail_server.drops = True
    delivery = the(letter(category="account"))

    for _ in range(2):
        with pytest.raises(TransientError, match="broke off while it took the message"):
            run(delivery)
        assert the(delivery.notification).state == State.PENDING

    assert run(delivery)["reason"] == UNKNOWN
    assert outcomes(delivery) == [Outcome.UNKNOWN] * 3


def test_a_server_that_breaks_off_over_the_end_is_asked_about_where_the_category_says_so(
    mail_server: MailServer,
) -> None:
    mail_server.drops = True
    delivery = the(letter(category="news"))

    assert run(delivery)["reason"] == UNKNOWN

    assert the(delivery.notification).answer.startswith("The mail server 127.0.0.1:")
    assert outcomes(delivery) == [Outcome.UNKNOWN]


def test_a_server_that_is_away_is_no_reason_to_ask(mail_server: MailServer, settings: Settings) -> None:
    settings.EMAIL_PORT = free_port()
    delivery = the(letter(category="news"))

    with pytest.raises(TransientError, match="cannot be reached"):
        run(delivery)

    delivery = the(delivery.notification)
    assert (delivery.state, delivery.attempts_made) == (State.PENDING, 1)
    assert outcomes(delivery) == [Outcome.UNREACHABLE]


# --- Two runs of one delivery -----------------------------------------------------------------------------------------


def meanwhile(monkeypatch: pytest.MonkeyPatch, point: str, act: Callable[[], Any]) -> None:
    """Have something else happen when a run gets to this point, once, as in another process."""

    def reached(name: str) -> None:
        if name == point:
            monkeypatch.setattr(faults, "point", lambda _name: None)
            ours, lines._kept.lines = lines._kept.lines, {}
            act()
            lines.disconnect()
            lines._kept.lines = ours

    monkeypatch.setattr(faults, "point", reached)


@pytest.mark.parametrize("point", ["delivery.ready", "delivery.marked", "delivery.handed", "delivery.taken"])
def test_what_is_cancelled_on_its_way_is_sent_or_cancelled_and_known_as_that(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    delivery = the(letter())
    meanwhile(monkeypatch, point, lambda: services.cancel(delivery.notification))

    result = run(delivery)

    was_in_time = point == "delivery.ready"
    assert result["state"] == the(delivery.notification).state == (State.CANCELLED if was_in_time else State.SENT)
    assert len(mail_server.deliveries) == (0 if was_in_time else 1)
    assert outcomes(delivery) == ([] if was_in_time else [Outcome.ACCEPTED])


def test_a_second_run_before_the_mark_leaves_one_copy(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = the(letter())
    meanwhile(monkeypatch, "delivery.ready", lambda: run(delivery))

    assert run(delivery)["state"] == State.SENT

    assert len(mail_server.deliveries) == 1
    assert outcomes(delivery) == [Outcome.ACCEPTED]


@pytest.mark.parametrize("point", ["delivery.marked", "delivery.handed", "delivery.taken"])
def test_a_second_run_in_the_window_sends_again_and_both_attempts_tell(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """The first one was taken for dead, and is not."""
    delivery = the(letter(category="account"))
    meanwhile(monkeypatch, point, lambda: run(the(delivery.notification)))

    assert run(delivery)["state"] == State.SENT

    first, second = mail_server.deliveries
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert outcomes(delivery) == [Outcome.ACCEPTED] * 2
    assert the(delivery.notification).attempts_made == 2


@pytest.mark.parametrize("point", ["delivery.marked", "delivery.handed", "delivery.taken"])
def test_a_run_that_was_taken_for_dead_answers_the_question_itself(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    delivery = the(letter(category="news"))
    asked: list[Any] = []
    meanwhile(monkeypatch, point, lambda: asked.append(run(the(delivery.notification))))

    assert run(delivery)["state"] == State.SENT

    assert asked[0]["reason"] == UNKNOWN
    assert (the(delivery.notification).state, the(delivery.notification).reason) == (State.SENT, "")
    assert len(mail_server.deliveries) == 1


def test_a_mark_that_a_crash_of_the_database_has_lost_does_not_lose_what_came_of_it(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is repeated anyway, its commit has not waited for the disk."""
    delivery = the(letter(category="account"))

    def lose() -> None:
        Attempt.objects.filter(delivery=delivery).delete()
        assert Delivery.objects.filter(state=State.SENDING).update(state=State.PENDING, attempts_made=0, digest="")

    meanwhile(monkeypatch, "delivery.handed", lose)

    assert run(delivery)["state"] == State.SENT
    assert run(the(delivery.notification))["state"] == State.SENT
    assert len(mail_server.deliveries) == 1
    assert outcomes(delivery) == [Outcome.ACCEPTED]
    assert the(delivery.notification).attempts_made == 1


@pytest.mark.skipif(DATABASE != "postgresql", reason="SQLite waits for the disk as its settings say")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("category", "waits"), [("account", False), ("news", True)])
def test_a_mark_waits_for_the_disk_where_somebody_would_have_to_decide(
    mail_server: MailServer, category: str, waits: bool
) -> None:
    delivery = the(letter(category=category))

    with CaptureQueriesContext(connection) as asked:
        run(delivery)

    (mark,) = [query["sql"] for query in asked if "SET state = 'sending'" in query["sql"]]
    assert ("'synchronous_commit', 'off'" in mark) is not waits


def test_a_mark_whose_answer_was_lost_is_known_as_our_own(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke at COMMIT, which took place: what is tried again finds that it is done."""
    marked = Try._marked
    calls: list[bool] = []

    def twice(self: Try) -> bool:
        calls.append(marked(self))
        calls.append(marked(self))
        return calls[-1]

    monkeypatch.setattr(Try, "_marked", twice)
    delivery = the(letter())

    assert run(delivery)["state"] == State.SENT
    assert calls == [True, True]
    assert outcomes(delivery) == [Outcome.ACCEPTED]


# --- Giving up, and beginning again -----------------------------------------------------------------------------------


def aged(delivery: Delivery, age: timedelta) -> None:
    """As one that was tried first so long ago."""
    first = timezone.now() - age
    delivery.attempts.create(number=1, host="mail", started_at=first, ended_at=first, outcome=Outcome.TEMPORARY)
    Delivery.objects.filter(pk=delivery.pk).update(created_at=first, attempts_made=1)
    Message.objects.filter(pk=delivery.task_id).update(created_at=first)


def test_what_is_refused_for_now_for_a_day_has_failed(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Greylisted"}
    delivery = the(letter())
    aged(delivery, timedelta(hours=24, seconds=1))

    with pytest.raises(Refused, match=r"450 4\.2\.0 Greylisted"):
        run(delivery)

    delivery = the(delivery.notification)
    assert (delivery.state, delivery.reason) == (State.FAILED, "gave_up")
    assert outcomes(delivery) == [Outcome.TEMPORARY] * 2
    assert not Suppression.objects.exists()


def test_the_last_try_is_at_the_end_of_the_time_and_not_before(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Greylisted, try again in 30 minutes"}
    delivery = the(letter())
    aged(delivery, timedelta(hours=23, minutes=55))

    with pytest.raises(TransientError) as error:
        run(delivery)

    assert error.value.retry_after is not None
    assert timedelta(minutes=4) < error.value.retry_after <= timedelta(minutes=5)


def test_what_it_waited_before_its_first_try_is_not_held_against_it(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Greylisted"}
    delivery = the(letter())
    aged(delivery, timedelta(days=3))
    delivery.attempts.all().delete()

    with pytest.raises(TransientError):
        run(delivery)

    assert the(delivery.notification).state == State.PENDING


def test_the_server_says_when_to_come_back(mail_server: MailServer) -> None:
    mail_server.once = {ANN: "450 4.7.1 Greylisted, please try again in 300 seconds"}

    with pytest.raises(TransientError) as error:
        run(the(letter()))

    assert error.value.retry_after == timedelta(seconds=300)


def test_after_many_attempts_the_wait_is_still_a_wait(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Mailbox busy"}
    delivery = the(letter())
    Delivery.objects.filter(pk=delivery.pk).update(attempts_made=90)

    with pytest.raises(TransientError) as error:
        run(delivery)

    assert error.value.retry_after is not None
    assert timedelta(minutes=13) < error.value.retry_after < timedelta(minutes=17)


def replayed(delivery: Delivery) -> Any:
    """As a replayed dead letter does it: the same arguments under another id."""
    return deliver(str(delivery.notification_id), delivery.position, task_id="another")


def test_the_replay_of_a_failed_delivery_sends_it(mail_server: MailServer) -> None:
    mail_server.to_message = "554 5.6.0 Not today"
    delivery = the(letter())
    with pytest.raises(Refused):
        run(delivery)
    mail_server.to_message = "250 taken"

    assert replayed(delivery)["state"] == State.SENT

    assert outcomes(delivery) == [Outcome.PERMANENT, Outcome.ACCEPTED]
    assert the(delivery.notification).attempts_made == 2


def test_a_replay_has_the_whole_time_again(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Greylisted"}
    delivery = the(letter())
    aged(delivery, timedelta(days=3))
    with pytest.raises(Refused):
        run(delivery)
    Message.objects.filter(pk=delivery.task_id).update(created_at=timezone.now())
    Delivery.objects.filter(pk=delivery.pk).update(task_id="the one before")

    with pytest.raises(TransientError):
        run(delivery)

    assert the(delivery.notification).state == State.PENDING


def test_the_replay_of_a_sent_delivery_does_nothing(mail_server: MailServer) -> None:
    delivery = the(letter())
    run(delivery)

    assert replayed(delivery)["state"] == State.SENT

    assert len(mail_server.deliveries) == 1


def test_a_failure_that_is_run_again_fails_again(mail_server: MailServer) -> None:
    """Its worker died between the delivery's outcome and the task's."""
    mail_server.to_message = "554 5.6.0 Not today"
    delivery = the(letter())
    for _ in range(2):
        with pytest.raises(Refused, match=r"554 5\.6\.0 Not today"):
            run(delivery)

    assert outcomes(delivery) == [Outcome.PERMANENT]


# --- Mistakes ---------------------------------------------------------------------------------------------------------


def test_a_mistake_before_anything_is_sent_is_a_failure_that_can_be_replayed(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("oh\0")

    delivery = the(letter())
    with monkeypatch.context() as patch:
        patch.setattr(EmailChannel, "send", broken)
        with pytest.raises(ZeroDivisionError):
            run(delivery)

    delivery = the(delivery.notification)
    assert (delivery.state, delivery.reason) == (State.FAILED, "broken")
    attempt = delivery.attempts.get()
    assert (attempt.outcome, attempt.answer) == (Outcome.PERMANENT, "ZeroDivisionError: oh\\0")
    assert replayed(delivery)["state"] == State.SENT


def test_a_mistake_in_the_window_is_not_repeated_but_asked_about(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> None:
        if name == "delivery.handed":
            raise ZeroDivisionError

    delivery = the(letter(category="account"))
    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", broken)
        with pytest.raises(ZeroDivisionError):
            run(delivery)

    assert (the(delivery.notification).state, the(delivery.notification).reason) == (State.SENDING, UNKNOWN)
    assert outcomes(delivery) == [Outcome.UNKNOWN]
    assert run(delivery)["reason"] == UNKNOWN


def test_a_message_that_cannot_be_made_has_failed_before_anybody_was_asked(mail_server: MailServer) -> None:
    delivery = the(letter())
    Delivery.objects.filter(pk=delivery.pk).update(sealed="sealed with another key")

    with pytest.raises(Refused, match="SECRET_KEY_FALLBACKS"):
        run(delivery)

    delivery = the(delivery.notification)
    assert (delivery.state, delivery.reason, delivery.attempts_made) == (State.FAILED, "cannot_be_made", 1)
    assert outcomes(delivery) == [Outcome.PERMANENT]


def test_where_nobody_may_wait_a_refusal_for_now_is_final_for_the_call(mail_server: MailServer) -> None:
    mail_server.to_recipient = {ANN: "450 4.2.0 Mailbox busy"}
    delivery = the(letter())

    with pytest.raises(Refused, match="Mailbox busy"):
        deliver(str(delivery.notification_id), 0, task_id=delivery.task_id, may_wait=False)

    assert the(delivery.notification).state == State.PENDING


@pytest.mark.parametrize(
    ("answer", "is_dead"),
    [
        ("550 5.1.1 No such user", True),
        ("550 5.1.10 Null MX", True),
        ("550 5.2.1 Mailbox disabled", True),
        ("550 No such user here", True),
        ("553 5.1.3 Bad address syntax", True),
        ("550 5.7.1 Blocked by policy", False),
        ("552 5.2.2 Mailbox full", False),
        ("554 5.7.1 Relay access denied", False),
        ("550 relay not permitted", False),
        ("550 blocked using some.list.example", False),
        ("553 5.1.8 Sender domain unknown", False),
        ("421 4.3.2 Shutting down", False),
        ("450 4.1.1 Unverified address", False),
    ],
)
def test_only_an_address_that_leads_to_nobody_is_not_written_to_again(
    mail_server: MailServer, answer: str, is_dead: bool
) -> None:
    mail_server.to_recipient = {ANN: answer}

    with pytest.raises((Refused, TransientError)):
        run(the(letter()))

    assert Suppression.objects.exists() is is_dead
