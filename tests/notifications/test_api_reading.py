"""Programs that ask what became of a notification, and whether she got it."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from notifications import delivering, services
from notifications.consent.tables import Suppression
from notifications.delivering import Refused
from notifications.tables import Attempt, Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing.errors import TransientError
from tests.api_client import Api, assert_problem, fields, new_token
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db

ANN, BEN, CID = "ann@example.org", "ben@example.org", "cid@example.org"
SECRET = "https://example.org/reset/3f9c"  # noqa: S105


@pytest.fixture
def api(db: None) -> Api:
    return Api(new_token("notifications:read"))


def letter(to: Any = ANN, **changes: Any) -> Notification:
    return services.notify(to, **{"subject": "Your invoice", "text": "It is due.\n", **changes})


def run(delivery: Delivery) -> dict[str, Any]:
    return delivering.deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)


def run_all(notification: Notification) -> None:
    for delivery in notification.deliveries.order_by("position"):
        try:
            run(delivery)
        except Refused:
            continue


def everything(api: Api, url: str, name: str) -> list[Any]:
    """Page after page, as its ``next`` says."""
    found, at = [], url
    while at:
        page = api.get(at).json()
        assert page[name]
        found.append([one["address"] for one in page[name]])
        at = page["next"]
    return found


def test_a_notification_is_counted_and_told_in_words(api: Api, mail_server: MailServer) -> None:
    Suppression.objects.create(channel="email", address_key=CID, reason="by_hand")
    mail_server.to_recipient = {BEN: "550 5.7.1 Not wanted"}
    notification = letter([ANN, BEN, CID, "dan@example.org"], category="reports")
    for delivery in notification.deliveries.order_by("position")[:3]:
        try:
            run(delivery)
        except Refused:
            continue

    told = api.get(f"notifications/{notification.pk}").json()

    assert told["words"] == "1 of 4 sent, 1 pending, 1 failed, 1 suppressed"
    assert {state: count for state, count in told["counts"].items() if count} == {
        "pending": 1,
        "sent": 1,
        "failed": 1,
        "suppressed": 1,
    }
    assert (told["state"], told["finished"], told["recipients"], told["category"]) == ("sending", 3, 4, "reports")


def test_its_state_is_one_word(api: Api, mail_server: MailServer) -> None:
    notification = letter([ANN, BEN])
    url = f"notifications/{notification.pk}"

    def state() -> str:
        return str(api.get(url).json()["state"])

    assert state() == "sending"
    Notification.objects.update(is_complete=False)
    assert state() == "storing"
    Notification.objects.update(is_complete=True)
    run_all(notification)
    assert state() == "finished"


def test_an_unknown_notification_is_not_found(api: Api) -> None:
    for path in (f"notifications/{uuid4()}", f"notifications/{uuid4()}/deliveries"):
        assert_problem(api.get(path), 404, "Check the id")
    assert_problem(api.get("notifications/7"), 404, "/api/v1/docs lists")


def test_each_attempt_is_told_with_its_times_and_the_servers_words(api: Api, mail_server: MailServer) -> None:
    mail_server.once = {ANN: "450 4.2.0 Greylisted"}
    notification = letter()
    delivery = notification.deliveries.get()
    with pytest.raises(TransientError):
        run(delivery)
    run(delivery)

    (told,) = api.get(f"notifications/{notification.pk}/deliveries").json()["deliveries"]

    assert (told["state"], told["answer"], told["message_id"]) == ("sent", "250 taken", delivery.message_id)
    first, second = told["attempts"]
    assert (first["outcome"], first["code"], second["outcome"], second["code"]) == ("temporary", 450, "accepted", 250)
    assert "Greylisted" in first["answer"]
    assert first["started_at"] <= first["ended_at"] <= second["started_at"]
    assert 0 <= second["seconds"] < 30
    assert second["host"] == f"127.0.0.1:{mail_server.port}"


def test_an_attempt_that_goes_on_has_no_end(api: Api) -> None:
    delivery = letter().deliveries.get()
    Attempt.objects.create(delivery=delivery, number=1, host="mail", started_at=delivery.created_at)

    (told,) = api.get(f"deliveries?address={ANN}").json()["deliveries"]

    (attempt,) = told["attempts"]
    assert (attempt["outcome"], attempt["ended_at"], attempt["seconds"]) == ("", None, None)


def test_deliveries_come_page_by_page_in_their_order(api: Api) -> None:
    everybody = [f"reader{number}@example.org" for number in range(5)]
    notification = letter(everybody)

    pages = everything(api, f"/api/v1/notifications/{notification.pk}/deliveries?limit=2", "deliveries")

    assert pages == [everybody[:2], everybody[2:4], everybody[4:]]


def test_a_page_that_is_just_full_is_the_last(api: Api) -> None:
    notification = letter([ANN, BEN])

    assert api.get(f"notifications/{notification.pk}/deliveries?limit=2").json()["next"] is None


def test_deliveries_of_one_state_alone(api: Api, mail_server: MailServer) -> None:
    mail_server.to_recipient = {BEN: "550 5.7.1 Not wanted"}
    notification = letter([ANN, BEN, CID])
    run_all(notification)

    url = f"/api/v1/notifications/{notification.pk}/deliveries?state=sent&limit=1"

    assert everything(api, url, "deliveries") == [[ANN], [CID]]


def test_what_was_ever_for_an_address_comes_newest_first(api: Api) -> None:
    notifications = [letter([BEN, ANN], subject=f"Number {number}") for number in range(3)]

    first = api.get(f"deliveries?address={ANN}&limit=2").json()
    letter(subject="Sent meanwhile")
    second = api.get(first["next"]).json()

    told = [one["notification_id"] for one in (*first["deliveries"], *second["deliveries"])]
    assert told == [str(one.pk) for one in reversed(notifications)]
    assert second["next"] is None


@pytest.mark.parametrize("spelling", ["ANN@Example.ORG", "Ann Example <ann@example.org>", " ann@example.org "])
def test_an_address_is_found_in_any_spelling(api: Api, spelling: str) -> None:
    letter(f"Ann <{ANN}>")

    (told,) = api.get(f"deliveries?address={quote(spelling)}").json()["deliveries"]

    assert told["address"] == f"Ann <{ANN}>"


def test_nothing_was_ever_for_a_stranger(api: Api) -> None:
    assert api.get("deliveries?address=nobody@example.org").json() == {"deliveries": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field", "cure"),
    [
        ("", "address", "required"),
        ("address=", "address", "empty"),
        ("address=ann", "address", "name@example.org"),
        ("address=%00", "address", "no single e-mail address"),
        ("address=%ED%A0%80", "address", "is no e-mail address"),
        (f"address={ANN}&limit=0", "limit", "greater than or equal to 1"),
        (f"address={ANN}&limit=201", "limit", "less than or equal to 200"),
        (f"address={ANN}&limit=many", "limit", "integer"),
        (f"address={ANN}&cursor=", "cursor", "pattern"),
        (f"address={ANN}&cursor=-1", "cursor", "pattern"),
        (f"address={ANN}&cursor=9999999999999999999", "cursor", "pattern"),
    ],
)
def test_a_wrong_question_is_told_its_cure(api: Api, query: str, field: str, cure: str) -> None:
    answer = api.get(f"deliveries?{query}")

    assert_problem(answer, 422, field)
    assert cure in fields(answer)[field]


def test_the_largest_cursors_are_taken(api: Api) -> None:
    assert api.get(f"deliveries?address={ANN}&cursor={'9' * 18}").status_code == 200
    assert api.get(f"notifications/{letter().pk}/deliveries?cursor={'9' * 9}").status_code == 200


def test_more_parameters_than_django_takes_are_refused_as_a_problem(api: Api) -> None:
    assert_problem(api.get(f"deliveries?{'&'.join('a=1' for _ in range(1001))}"), 400, "cannot be understood")


def test_no_answer_has_a_secret_in_it(api: Api, mail_server: MailServer) -> None:
    template = Template.objects.create(name="reset")
    TemplateVersion.objects.create(
        template=template,
        number=1,
        subject="Reset",
        text="{{ link }} {{ code }}",
        variables=[{"name": "link", "secret": True}, {"name": "code", "secret": True}],
    )
    notification = services.notify({"email": ANN, "link": SECRET}, template="reset", context={"code": "3f9c"})
    urls = [
        f"notifications/{notification.pk}",
        f"notifications/{notification.pk}/deliveries",
        f"deliveries?address={ANN}",
    ]
    before = [api.get(url).content.decode() for url in urls]
    run_all(notification)

    assert SECRET in mail_server.deliveries[0].message.get_content()
    for said in (*before, *(api.get(url).content.decode() for url in urls)):
        assert "3f9c" not in said


def test_a_page_of_many_asks_the_database_no_more_often_than_one_of_few(
    api: Api, django_assert_max_num_queries: Any
) -> None:
    notification = letter([f"reader{number}@example.org" for number in range(60)])
    for delivery in notification.deliveries.all():
        Attempt.objects.create(delivery=delivery, number=1, host="mail", started_at=delivery.created_at)

    with django_assert_max_num_queries(6):
        page = api.get(f"notifications/{notification.pk}/deliveries?limit=60").json()

    assert len(page["deliveries"]) == 60
