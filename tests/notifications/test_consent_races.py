"""Two at once: events, clicks, and a bounce beside the worker's own end of the delivery."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from notifications.channels.email import EmailChannel
from notifications.consent import choices, feedback
from notifications.consent.feedback import Kind, Told
from notifications.consent.tables import Feedback, Preference, Suppression
from tests.notifications.consenting import ANN, letter, run, sent, state
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each returned. They begin together, each with a connection of its own."""
    gate = Barrier(len(acts))

    def act(one: Callable[[], Any]) -> Any:
        gate.wait(timeout=60)
        try:
            return one()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [done.result(timeout=60) for done in [pool.submit(act, one) for one in acts]]


def bounce(message_id: str, kind: Kind = Kind.HARD_BOUNCE) -> Callable[[], Any]:
    told = Told(kind=kind, message_id=message_id, blames_address=True)
    return lambda: feedback.record(told, source="test")


def test_the_same_event_at_once_is_taken_in_once(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    told = at_once(*[bounce(delivery.message_id)] * 4)

    assert sorted(each.is_new for each in told) == [False, False, False, True]
    assert (Feedback.objects.count(), Suppression.objects.count(), state(delivery)) == (1, 1, "bounced")


def test_a_bounce_and_a_complaint_at_once_both_count(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    at_once(bounce(delivery.message_id), bounce(delivery.message_id, Kind.COMPLAINT))

    assert set(Suppression.objects.values_list("reason", flat=True)) == {"bounced", "complained"}


def test_one_click_at_once_is_one_choice() -> None:
    at_once(*[lambda: choices.choose(ANN, {"news": False}, source="one-click")] * 4)

    assert Preference.objects.get().wanted is False


def test_a_bounce_beside_the_end_of_the_sending_is_never_lost(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, send = Barrier(2), EmailChannel.send

    def send_and_wait(self: EmailChannel, *args: Any, **words: Any) -> Any:
        answer = send(self, *args, **words)
        taken.wait(timeout=60)
        return answer

    def bounce_when_taken() -> Any:
        taken.wait(timeout=60)
        return bounce(delivery.message_id)()

    monkeypatch.setattr(EmailChannel, "send", send_and_wait)
    delivery = letter()

    with ThreadPoolExecutor(1) as pool:
        bounced = pool.submit(at_once, bounce_when_taken)
        run(delivery)
        assert bounced.result(timeout=60)[0].is_new

    assert state(delivery) == "bounced"
    assert delivery.attempts.get().outcome == "accepted"


def test_a_crash_within_an_event_leaves_nothing_and_it_can_be_told_again(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = sent(mail_server)

    def die(*_args: Any, **_words: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(feedback, "_suppress", die)
    with pytest.raises(KeyboardInterrupt):
        bounce(delivery.message_id)()
    monkeypatch.undo()
    assert (Feedback.objects.count(), state(delivery)) == (0, "sent")

    assert bounce(delivery.message_id)().is_new
    assert state(delivery) == "bounced"
