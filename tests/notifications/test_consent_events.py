"""Bounces and complaints as they are reported: in any form and order, once, and from nobody without a permission."""

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from notifications.consent.suppression_list import lift
from notifications.consent.tables import Feedback, Preference, Suppression
from notifications.tables import Delivery
from routing.console.tokens import ApiToken
from tests.notifications.consenting import ANN, BEN, letter, run, sent, state
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
SECRET = "a-secret-of-thirty-two-characters"  # noqa: S105
URL = f"/notifications/events/{SECRET}"

DSN = """\
From: MAILER-DAEMON@mx.example.org
To: taskyard@localhost
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org
Arrival-Date: Fri, 27 Nov 2026 03:00:00 +0000

Final-Recipient: rfc822; {address}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {said}

--b
Content-Type: {returned}

{headers}
--b--
"""
ARF = """\
From: fbl@provider.example
Subject: FW: Your invoice
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Provider/1.0
Version: 1
Original-Rcpt-To: <ann@example.org>

--b
Content-Type: message/rfc822

Message-ID: {message_id}
Subject: Your invoice

It is due.
--b--
"""


@pytest.fixture(autouse=True)
def secret(settings: Settings) -> None:
    settings.TASKYARD_FEEDBACK_SECRETS = ["another-secret-of-the-last-month", SECRET]


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def tell(event: Any, *, url: str = URL, **headers: str) -> Any:
    body = event if isinstance(event, str | bytes) else json.dumps(event)
    return Client(headers=headers).post(url, body, content_type="application/json")


def mail(raw: str | bytes) -> Any:
    return Client().post(URL, raw, content_type="message/rfc822")


def dsn(delivery: Delivery | None, **changes: str) -> str:
    words = {
        "address": ANN,
        "action": "failed",
        "status": "5.1.1",
        "said": "550 5.1.1 No such user",
        "returned": "message/rfc822",
        "headers": f"Message-ID: {delivery.message_id if delivery else '<x@y>'}\nSubject: Your invoice\n\nIt is due.",
    }
    return DSN.format(**{**words, **changes})


def effects(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [event["effect"] for event in answer.json()["events"]]


# --- What each kind changes


def test_a_hard_bounce_marks_the_delivery_and_suppresses_the_address(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    answer = tell({"kind": "hard_bounce", "message_id": delivery.message_id, "detail": "550 5.1.1 No such user"})

    assert effects(answer) == ["the delivery is bounced; the address is suppressed"]
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason, delivery.answer) == ("bounced", "bounced", "550 5.1.1 No such user")
    assert Suppression.objects.get().reason == "bounced"
    assert run(letter(category="account"))["reason"] == "bounced"


def test_a_soft_bounce_is_noted_only(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    assert effects(tell({"kind": "soft_bounce", "message_id": delivery.message_id})) == ["noted"]

    assert (state(delivery), Suppression.objects.count(), Feedback.objects.count()) == ("sent", 0, 1)


def test_a_bounce_for_another_reason_than_the_address_does_not_suppress_it(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    tell({"kind": "hard_bounce", "message_id": delivery.message_id, "status": "5.2.2"})

    assert (state(delivery), Suppression.objects.count()) == ("bounced", 0)


def test_a_complaint_suppresses_and_unsubscribes(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    answer = tell({"kind": "complaint", "message_id": delivery.message_id})

    assert effects(answer) == ["the address is suppressed; unsubscribed from news"]
    assert state(delivery) == "sent"
    assert Suppression.objects.get().reason == "complained"
    assert (Preference.objects.get().wanted, Preference.objects.get().source) == (False, "complaint")


def test_a_complaint_about_what_is_required_leaves_that_as_it_is(mail_server: MailServer) -> None:
    delivery = sent(mail_server, category="account")

    tell({"kind": "complaint", "message_id": delivery.message_id})

    assert not Preference.objects.exists()
    sent(mail_server, category="account")


# --- Once, in any order, also of what is unknown


def test_a_bounce_told_twice_has_its_effect_once(mail_server: MailServer) -> None:
    event = {"kind": "hard_bounce", "message_id": sent(mail_server).message_id}
    tell(event)
    lift(ANN, by="ada")

    answer = tell(event)

    assert answer.json()["events"][0]["is_new"] is False
    assert not Suppression.objects.filter(lifted_at=None).exists()


def test_a_new_bounce_after_the_lifting_suppresses_again(mail_server: MailServer) -> None:
    for _ in range(2):
        tell({"kind": "hard_bounce", "message_id": sent(mail_server).message_id})
        lift(ANN, by="ada")

    assert Suppression.objects.count() == 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_makes_no_difference(mail_server: MailServer, order: tuple[int, ...]) -> None:
    message_id = sent(mail_server).message_id
    kinds = ("hard_bounce", "soft_bounce", "complaint")

    for number in order:
        tell({"kind": kinds[number], "message_id": message_id})

    assert Delivery.objects.get().state == "bounced"
    assert set(Suppression.objects.values_list("reason", flat=True)) == {"bounced", "complained"}
    assert Preference.objects.get().wanted is False


def test_an_unknown_message_is_accepted_and_told(mail_server: MailServer) -> None:
    unknown = f"<{'0' * 32}.0@example.org>"

    assert effects(tell({"kind": "hard_bounce", "message_id": unknown})) == ["not of a delivery that is known"]
    assert effects(tell({"kind": "hard_bounce", "address": "Ben <Ben@Example.org>"})) == ["the address is suppressed"]

    assert Suppression.objects.get().address_key == BEN


def test_a_delivery_is_found_by_the_providers_own_id(mail_server: MailServer) -> None:
    delivery, other = sent(mail_server), sent(mail_server)
    Delivery.objects.filter(pk=delivery.pk).update(answer="Postmark: queued, b7bc2f4a-e38e-4336-af7d-e6c392c2f817")

    tell({"kind": "hard_bounce", "message_id": "b7bc2f4a-e38e-4336-af7d-e6c392c2f817", "address": ANN})
    tell({"kind": "soft_bounce", "message_id": "817", "address": ANN})

    assert (state(delivery), state(other)) == ("bounced", "sent")


def test_the_deliverys_own_address_counts_not_the_one_it_was_forwarded_to(mail_server: MailServer) -> None:
    delivery = sent(mail_server)

    tell({"kind": "hard_bounce", "message_id": delivery.message_id, "address": BEN})

    assert Suppression.objects.get().address_key == ANN


def test_events_come_in_lists() -> None:
    answer = tell([{"kind": "hard_bounce", "address": ANN}, {"kind": "complaint", "address": BEN}])

    assert len(effects(answer)) == 2
    assert set(Suppression.objects.values_list("address_key", "reason")) == {(ANN, "bounced"), (BEN, "complained")}


def test_a_bounce_of_what_is_not_sent_yet_holds_it_back(mail_server: MailServer) -> None:
    delivery = letter()

    tell({"kind": "hard_bounce", "message_id": delivery.message_id})

    assert state(delivery) == "pending"
    assert run(delivery)["reason"] == "bounced"


def test_a_delivery_that_nobody_knew_the_outcome_of_has_bounced(mail_server: MailServer) -> None:
    delivery = letter()
    Delivery.objects.update(state="sending", reason="outcome_unknown")

    tell({"kind": "hard_bounce", "message_id": delivery.message_id})

    assert state(delivery) == "bounced"
    assert Delivery.objects.get().finished_at is not None


# --- A bounce that is quicker than our own commit


def test_a_bounce_before_sent_is_committed_is_not_lost(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from notifications.channels.email import EmailChannel

    delivery, send = letter(), EmailChannel.send

    def quickly_bounced(self: EmailChannel, *args: Any, **words: Any) -> Any:
        answer = send(self, *args, **words)
        assert state(delivery) == "sending"
        tell({"kind": "hard_bounce", "message_id": delivery.message_id})
        return answer

    monkeypatch.setattr(EmailChannel, "send", quickly_bounced)

    assert run(delivery)["state"] == "bounced"
    assert state(delivery) == "bounced"
    assert delivery.attempts.get().outcome == "accepted"


# --- Reports as e-mails


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"returned": "text/rfc822-headers"},
        {"address": BEN},
        {"headers": ""},
    ],
)
def test_a_bounce_as_mail_servers_send_it(mail_server: MailServer, changes: dict[str, str]) -> None:
    delivery = sent(mail_server)

    answer = mail(dsn(delivery, **changes))

    assert answer.status_code == 200
    assert Suppression.objects.get().address_key == ANN
    assert state(delivery) == ("sent" if changes.get("headers") == "" else "bounced")


@pytest.mark.parametrize(
    ("action", "status", "expected", "suppressed"),
    [
        ("failed", "5.7.1", "bounced", 0),
        ("failed", "4.4.7", "bounced", 0),
        ("delayed", "4.2.2", "sent", 0),
        ("delivered", "2.0.0", "sent", 0),
        ("relayed", "2.0.0", "sent", 0),
        ("Failed", "5.1.1 (bad address)", "bounced", 1),
    ],
)
def test_a_report_is_taken_for_what_it_says(
    mail_server: MailServer, action: str, status: str, expected: str, suppressed: int
) -> None:
    delivery = sent(mail_server)

    assert mail(dsn(delivery, action=action, status=status, said="as the status says")).status_code == 200

    assert (state(delivery), Suppression.objects.count()) == (expected, suppressed)


@pytest.mark.parametrize(("kind", "suppressed"), [("abuse", 1), ("fraud", 1), ("not-spam", 0)])
def test_a_complaint_as_providers_send_it(mail_server: MailServer, kind: str, suppressed: int) -> None:
    delivery = sent(mail_server)

    assert mail(ARF.format(kind=kind, message_id=delivery.message_id)).status_code == 200

    assert Suppression.objects.filter(reason="complained").count() == suppressed
    assert Preference.objects.filter(wanted=False).count() == suppressed


@pytest.mark.parametrize(
    "raw",
    [
        b"\n",
        b"\0\xff\xfe",
        b"Subject: Out of office\n\nI am away.",
        dsn(None).replace("Action: failed\n", "").encode(),
        dsn(None, action="exploded").encode(),
        dsn(None, address="nobody", headers="").encode(),
        ARF.format(kind="", message_id="").encode(),
        ARF.format(kind="weather", message_id="").encode(),
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n--b--",
        b"Content-Type: message/rfc822\n\n" * 3000,
    ],
    ids=range(10),
)
def test_what_is_no_report_is_refused_and_kept_for_an_operator(raw: bytes) -> None:
    first, again = mail(raw), mail(raw)

    assert (first.status_code, again.status_code) == (422, 422)
    row = Feedback.objects.get()
    assert f"number {row.pk}" in first.json()["detail"]
    assert (row.kind, row.source) == ("unreadable", "the secret address")
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("body", "cure"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "kind"),
        (b'"text"', "0"),
        ({"kind": "explosion", "address": ANN}, "hard_bounce"),
        ({"kind": "complaint"}, "message_id, address or both"),
        ({"kind": "complaint", "address": "nobody"}, "no e-mail address"),
        ({"kind": "complaint", "address": ANN + "\r\nBcc: x@example.org"}, "no e-mail address"),
        ({"kind": "complaint", "address": ANN, "more": 1}, "more"),
        ({"kind": "hard_bounce", "address": ANN, "status": "5"}, "status"),
        ([{"kind": "hard_bounce", "address": ANN}, {"kind": "hard_bounce"}], "1"),
        ([{"kind": "hard_bounce", "address": ANN}] * 1001, "1000"),
    ],
)
def test_a_wrong_event_is_refused_with_its_cure_and_nothing_of_it_is_done(body: Any, cure: str) -> None:
    answer = tell(body)

    assert answer.status_code == 422
    assert cure in answer.json()["detail"]
    assert not Suppression.objects.exists()
    assert Feedback.objects.get().kind == "unreadable"


# --- Who may report


def test_a_program_reports_with_its_token() -> None:
    token = ApiToken(name="bounce mailbox", scopes="suppressions:write").issue()

    answer = tell({"kind": "complaint", "address": ANN}, url="/notifications/events", authorization=f"Bearer {token}")

    assert answer.status_code == 200
    assert Suppression.objects.get().created_by == "token bounce mailbox"


def test_a_token_for_something_else_is_refused() -> None:
    token = ApiToken(name="web shop", scopes="notifications:send").issue()

    answer = tell({"kind": "complaint", "address": ANN}, url="/notifications/events", authorization=f"Bearer {token}")

    assert (answer.status_code, Feedback.objects.count()) == (403, 0)


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer ty_x"}, {"authorization": "Basic x"}])
def test_nobody_reports_without_a_token(header: dict[str, str]) -> None:
    answer = tell({"kind": "complaint", "address": ANN}, url="/notifications/events", **header)

    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert not Feedback.objects.exists()


@pytest.mark.parametrize("wrong", ["x", SECRET[:-1], f"{SECRET}x", SECRET.upper(), "ü"])
def test_a_wrong_secret_is_an_address_that_there_is_not(wrong: str) -> None:
    assert tell({"kind": "complaint", "address": ANN}, url=f"/notifications/events/{wrong}").status_code == 404
    assert not Feedback.objects.exists()


def test_no_secret_is_in_use_unless_one_is_set(settings: Settings) -> None:
    settings.TASKYARD_FEEDBACK_SECRETS = []

    assert tell({"kind": "complaint", "address": ANN}).status_code == 404


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    answer = getattr(client, method)(URL)

    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_body_that_is_too_large_is_refused_unread() -> None:
    assert mail(b"x" * 5_000_001).status_code == 413
    assert not Feedback.objects.exists()


def test_another_content_type_is_refused(client: Client) -> None:
    answer = client.post(URL, {"kind": "complaint", "address": ANN})

    assert answer.status_code == 415
    assert "message/rfc822" in answer.json()["detail"]
