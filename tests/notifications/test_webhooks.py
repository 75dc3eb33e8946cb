"""Webhooks as deliveries: signed, under one id at each attempt, and what each answer makes of them."""

import json
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from notifications import finding, reproducing, services
from notifications.attempting import UNKNOWN
from notifications.categories import Category, WhenUnknown
from notifications.channels import webhook
from notifications.channels.webhook import WebhookChannel
from notifications.consent.tables import Suppression
from notifications.delivering import Refused, deliver
from notifications.given import Recipient
from notifications.pacing.tables import Gate
from notifications.problems import InvalidNotification
from notifications.tables import Attempt, Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from notifications.webhooks import endpoints
from notifications.webhooks.tables import Endpoint
from routing import faults
from routing.errors import TransientError
from tests.api_client import new_token
from tests.inline import drain, worker
from tests.notifications.webhook_receiver import HANG, TAKEN, Receiver, answer, receiver

__all__ = ["receiver"]

pytestmark = pytest.mark.django_db
State, Outcome = Delivery.State, Attempt.Outcome
SHIPPED = {"order": 7, "total": "12.50 €"}


@pytest.fixture
def shop(receiver: Receiver) -> str:
    """The secret of the endpoint “shop”, which posts to the receiver."""
    return endpoints.add("shop", receiver.url, by="ada")[1]


def tell(to: Any = "shop", **changes: Any) -> Delivery:
    said = {"channel": "webhook", "subject": "order.shipped", "context": SHIPPED, **changes}
    return services.notify(to, **said).deliveries.get()


def run(delivery: Delivery) -> dict[str, Any]:
    return deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)


def of(delivery: Delivery) -> Delivery:
    delivery.refresh_from_db()
    return delivery


def test_an_event_arrives_signed_and_is_sent(shop: str, receiver: Receiver) -> None:
    receiver.answers = [answer("202 Accepted", body="queued as 5")]
    delivery = tell(text="Order 7 is on its way.")

    assert run(delivery)["state"] == "sent"

    (request,) = receiver.requests
    assert request.is_signed_with(shop)
    assert json.loads(request.body) == {
        "type": "order.shipped",
        "timestamp": delivery.notification.created_at.isoformat().replace("+00:00", "Z"),
        "data": SHIPPED,
        "text": "Order 7 is on its way.",
    }
    assert request.headers["Content-Type"] == "application/json"
    assert abs(int(request.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    attempt = of(delivery).attempts.get()
    assert (delivery.answer, attempt.code, attempt.host) == ("202 queued as 5", 202, f"127.0.0.1:{receiver.port}")


def test_a_recipient_may_have_values_of_its_own_and_nobody_can_unsubscribe(shop: str, receiver: Receiver) -> None:
    endpoints.add("crm", receiver.url, by="ada")
    to = [Recipient("Shop"), Recipient("crm", {"order": 8})]
    notification = services.notify(to, channel="webhook", subject="a.b", category="news", context={"a": 1}, text="Hi")

    for delivery in notification.deliveries.order_by("position"):
        run(delivery)

    assert [json.loads(request.body)["data"] for request in receiver.requests] == [{"a": 1}, {"a": 1, "order": 8}]
    assert {json.loads(request.body)["text"] for request in receiver.requests} == {"Hi"}


@pytest.mark.parametrize(
    ("given", "outcome", "said"),
    [
        ("429 Too Many Requests", Outcome.TEMPORARY, "429"),
        ("500 Internal Server Error", Outcome.TEMPORARY, "500"),
        ("503 Service Unavailable", Outcome.TEMPORARY, "503"),
        ("400 Bad Request", Outcome.PERMANENT, "400"),
        ("404 Not Found", Outcome.PERMANENT, "404"),
        ("410 Gone", Outcome.PERMANENT, "410"),
    ],
)
def test_an_answer_decides_whether_it_comes_again(
    given: str, outcome: str, said: str, shop: str, receiver: Receiver
) -> None:
    receiver.answers = [answer(given, body="not today"), TAKEN]
    delivery = tell()

    with pytest.raises(TransientError if outcome == Outcome.TEMPORARY else Refused, match=f"{said} not today"):
        run(delivery)

    state = State.PENDING if outcome == Outcome.TEMPORARY else State.FAILED
    assert (of(delivery).state, delivery.attempts.get().outcome) == (state, outcome)
    assert Suppression.objects.exists() is (said == "410")


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_it_comes_again_when_the_receiver_says_under_the_same_id(status: str, shop: str, receiver: Receiver) -> None:
    receiver.answers = [answer(status, Retry_After="70"), TAKEN]
    delivery = tell()

    with pytest.raises(TransientError) as refused:
        run(delivery)
    run(delivery)

    assert refused.value.retry_after == timedelta(seconds=70)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert of(delivery).state == State.SENT


def test_a_redirect_is_not_followed_and_told_with_its_cure(shop: str, receiver: Receiver) -> None:
    elsewhere = Receiver()
    receiver.answers = [answer("302 Found", Location=elsewhere.url)]
    delivery = tell()

    with pytest.raises(Refused, match=r"302 redirects to http://127\.0\.0\.1.*have the endpoint's URL changed"):
        run(delivery)

    assert (of(delivery).state, elsewhere.requests) == (State.FAILED, [])
    elsewhere.stop()


def test_one_that_is_gone_gets_nothing_until_it_is_switched_on(shop: str, receiver: Receiver) -> None:
    receiver.answers = [answer("410 Gone"), TAKEN]
    with pytest.raises(Refused, match="410 Gone"):
        run(tell())

    assert run(tell())["state"] == "suppressed"
    assert endpoints.switch_on(Endpoint.objects.get(), by="ada")

    assert run(tell())["state"] == "sent"
    assert len(receiver.requests) == 2


def test_one_that_breaks_off_may_get_it_twice_under_the_same_id(
    shop: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WebhookChannel, "seconds", 0.4)
    receiver.answers = [HANG, TAKEN]
    delivery = tell()

    with pytest.raises(TransientError, match="broke off after it was handed the request"):
        run(delivery)
    assert delivery.attempts.get().outcome == Outcome.UNKNOWN
    run(delivery)

    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("when_unknown", list(WhenUnknown))
def test_a_death_in_the_window_is_repeated_or_asked_about(
    when_unknown: WhenUnknown, shop: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    category = Category(name="account", required=True, when_unknown=when_unknown)
    monkeypatch.setattr("notifications.categories.get", lambda _: category)
    delivery = tell()

    def die(name: str) -> None:
        if name == "delivery.handed":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", die)
        with pytest.raises(KeyboardInterrupt):
            run(delivery)
    assert of(delivery).state == State.SENDING
    run(delivery)

    if when_unknown == WhenUnknown.ASK:
        assert (of(delivery).state, delivery.reason) == (State.SENDING, UNKNOWN)
    else:
        assert of(delivery).state == State.SENT
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


def test_a_host_that_asks_to_be_left_alone_is_and_others_are_not(shop: str, receiver: Receiver) -> None:
    other = Receiver()
    endpoints.add("other", other.url, by="ada")
    receiver.answers = [answer("503 Service Unavailable", Retry_After="30")]
    for _ in range(5):
        with pytest.raises(TransientError):
            run(tell())

    assert run(tell("other"))["state"] == "sent"
    with pytest.raises(TransientError, match=rf"webhook:127\.0\.0\.1:{receiver.port} is down"):
        run(tell())

    assert Gate.objects.filter(opened_at__isnull=False).count() == 1
    assert len(receiver.requests) == 5
    other.stop()


def test_a_place_that_is_closed_today_fails_with_the_cure(shop: str, receiver: Receiver, settings: Settings) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = []
    Endpoint.objects.update(url=receiver.url.replace("http:", "https:"))
    delivery = tell()

    with pytest.raises(Refused, match="name its network in NOTIFICATIONS_WEBHOOK_NETWORKS"):
        run(delivery)

    assert (of(delivery).state, receiver.requests) == (State.FAILED, [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to": "nobody"}, r"to\.0 cannot be written to: 'nobody' is no webhook endpoint; there are shop"),
        ({"to": "ann@example.org"}, "is no webhook endpoint"),
        ({"subject": "Your order was shipped"}, "subject is the type of the event .*such as order.shipped"),
        ({"html": "<p>Hi</p>"}, "html is nothing that a webhook carries"),
        ({"reply_to": ["ann@example.org"]}, "reply_to is nothing that a webhook has"),
        ({"attachments": [("a.txt", b"a", "text/plain")]}, "attachments cannot go by webhook; .* give a link instead"),
        ({"channel": "fax"}, "channel 'fax' is no channel; use one of email, webhook"),
        ({"text": "x" * 1_000_001}, "text is longer than 1,000,000 bytes"),
    ],
)
def test_what_no_webhook_can_say_is_refused_at_the_call(changes: dict[str, Any], said: str, shop: str) -> None:
    with pytest.raises(InvalidNotification, match=said):
        tell(**changes)

    assert not Notification.objects.exists()


def test_values_that_are_too_large_fail_with_the_cure(shop: str, receiver: Receiver) -> None:
    with pytest.raises(Refused, match=r"has 1,0\d\d,\d\d\d bytes, and a webhook carries 1,000,000. Send a link"):
        run(tell(context={"all": "x" * 1_000_001}))

    assert receiver.requests == []


def test_each_thing_at_hand_finds_it(shop: str, receiver: Receiver) -> None:
    row = tell(key="order:7")
    run(row)
    event_id = receiver.requests[0].headers["webhook-id"]

    for term in ("shop", " SHOP ", event_id, event_id.upper(), row.message_id, "order:7", str(row.pk)):
        assert list(Delivery.objects.filter(finding.deliveries(term).where)) == [row], term
    assert finding.of_address("Shop", channel="webhook").rows == [row]
    assert not Delivery.objects.filter(finding.deliveries("ship").where)


def test_its_page_shows_the_event_as_it_went_out(shop: str, receiver: Receiver, admin_client: Client) -> None:
    row = tell()
    run(row)

    page = admin_client.get(f"/admin/notifications/delivery/{row.pk}/change/").content.decode()
    source = admin_client.get(f"/admin/notifications/delivery/{row.pk}/source/")

    assert receiver.requests[0].headers["webhook-id"] in page
    assert receiver.url.replace("&", "&amp;") in page
    assert "This is exactly what went out." in page
    assert "&quot;total&quot;: &quot;12.50 €&quot;" in page
    assert source.content == receiver.requests[0].body
    assert source["Content-Disposition"] == f'attachment; filename="delivery-{row.pk}.json"'
    assert admin_client.get("/admin/notifications/delivery/?q=shop").content.decode().count("order.shipped")


def test_it_is_shown_on_the_command_line(shop: str, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    row = tell()
    run(row)

    call_command("deliveries", "show", "shop")

    said = capsys.readouterr().out
    assert "POST: http://127.0.0.1" in said
    assert '"type": "order.shipped"' in said
    assert reproducing.reproduce(row).content is not None


def test_a_program_may_ask_for_one(shop: str, client: Client) -> None:
    bearer = {"Authorization": f"Bearer {new_token()}"}
    new = {"to": ["shop"], "channel": "webhook", "subject": "order.shipped", "context": SHIPPED}

    stored = client.post("/api/v1/notifications", new, content_type="application/json", headers=bearer)
    unknown = client.post(
        "/api/v1/notifications", {**new, "channel": "fax"}, content_type="application/json", headers=bearer
    )
    found = client.get("/api/v1/deliveries?address=shop&channel=webhook", headers=bearer)

    assert stored.status_code == 202
    assert Delivery.objects.get().channel == "webhook"
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "channel")
    assert [one["address"] for one in found.json()["deliveries"]] == ["shop"]
    assert client.get("/api/v1/deliveries?address=shop&channel=fax", headers=bearer).status_code == 422


def test_any_program_may_tell_one_by_the_name_of_the_task(shop: str, receiver: Receiver) -> None:
    said = {"to": ["shop"], "channel": "webhook", "subject": "order.shipped", "context": SHIPPED}
    current_app.send_task("notifications.notify", kwargs=said)

    with worker():
        drain()

    assert [json.loads(request.body)["data"] for request in receiver.requests] == [SHIPPED]
    assert Delivery.objects.get().state == State.SENT


def test_a_secret_of_its_template_arrives_and_is_kept_nowhere(shop: str, receiver: Receiver) -> None:
    receiver.answers = [answer("200 OK", body="took code 4711")]
    variables = [{"name": "code", "required": True, "secret": True, "sample": "1", "description": ""}]
    template = Template.objects.create(name="code-made")
    TemplateVersion.objects.create(template=template, number=1, subject="code.made", text="-", variables=variables)
    delivery = tell(template="code-made", subject="", context={"code": "4711"})

    run(delivery)

    assert json.loads(receiver.requests[0].body)["data"] == {"code": "4711"}
    kept = [*Delivery.objects.values(), *Notification.objects.values(), *Attempt.objects.values()]
    assert "4711" not in str(kept)


def test_an_endpoint_that_was_taken_out_by_hand_is_told(shop: str) -> None:
    delivery = tell()
    Endpoint.objects.all().delete()

    with pytest.raises(Refused, match="'shop' is no webhook endpoint; there is none yet"):
        run(delivery)

    assert of(delivery).attempts.get().host == webhook.NOWHERE
