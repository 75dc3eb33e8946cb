"""Programs that have people written to, and cancel it: each call is taken whole and once, or not at all."""

import base64
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from pytest_django import Settings

from notifications import attachments, delivering, services
from notifications.api_drafts import MAX_RECIPIENTS
from notifications.tables import Attachment, Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing.ledger.tables import Message
from tests.api_client import Api, assert_problem, fields, new_token
from tests.dead_broker import absent_broker
from tests.notifications.dead_database import dead_database
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["absent_broker", "dead_database", "mail_server"]

pytestmark = pytest.mark.django_db

ANN, BEN = "ann@example.org", "ben@example.org"
LETTER = {"to": [ANN], "subject": "Your invoice", "text": "It is due.\n"}
TOO_EARLY_IN_UTC = "0001-01-01T00:00:00+14:00"


@pytest.fixture
def api(db: None) -> Api:
    return Api(new_token("notifications:send", "notifications:read", "notifications:cancel"))


@pytest.fixture
def welcome(db: None) -> Template:
    template = Template.objects.create(name="welcome")
    version(template, 1, variables=[{"name": "name", "required": True}, {"name": "link", "secret": True}])
    return template


def version(template: Template, number: int, **values: Any) -> TemplateVersion:
    said = {"subject": "Hello {{ name }}", "text": "Welcome, {{ name }}: {{ link }}", **values}
    return TemplateVersion.objects.create(template=template, number=number, **said)


def run(delivery: Delivery) -> dict[str, Any]:
    return delivering.deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)


def test_a_notification_is_accepted_with_all_its_deliveries_and_tasks(api: Api) -> None:
    answer = api.post("notifications", {**LETTER, "to": [ANN, {"to": f"Ben <{BEN}>"}], "lane": "urgent"})

    stored = Notification.objects.get()
    url = f"/api/v1/notifications/{stored.pk}"
    assert (answer.status_code, answer["Location"]) == (202, url)
    assert answer.json() == {"id": str(stored.pk), "url": url, "recipients": 2}
    tasks = stored.deliveries.values_list("task_id", flat=True)
    assert list(Message.objects.filter(pk__in=tasks).values_list("queue", flat=True)) == ["notifications.urgent"] * 2
    assert stored.created_by == "API token web shop"
    assert api.get(url).json()["counts"]["pending"] == 2


def test_each_recipient_reads_their_own_values(api: Api, welcome: Template, mail_server: MailServer) -> None:
    to = [{"to": ANN, "context": {"name": "Ann"}}, {"to": BEN, "context": {"name": "Ben"}}]
    api.post("notifications", {"to": to, "template": "welcome", "context": {"link": "https://example.org/1"}})

    for delivery in Delivery.objects.order_by("position"):
        run(delivery)

    assert [sent.message["Subject"] for sent in mail_server.deliveries] == ["Hello Ann", "Hello Ben"]
    assert "https://example.org/1" in mail_server.deliveries[0].message.get_content()


@pytest.mark.parametrize(
    ("change", "field", "cure"),
    [
        ({"to": []}, "to", "at least 1"),
        ({"to": ANN}, "to", "list"),
        ({"to": None}, "to", "list"),
        ({"to": [ANN, "nobody"]}, "to.1", "name@example.org"),
        ({"to": [ANN, ANN.upper()]}, "to.1", "is in it already"),
        ({"to": [7]}, "to.0", "give an address"),
        ({"to": [{"context": {}}]}, "to.0.to", "required"),
        ({"to": [{"to": ANN, "name": "Ann"}]}, "to.0.name", "not permitted"),
        ({"to": [{"to": ANN, "context": ["Ann"]}]}, "to.0.context", "dictionary"),
        ({"to": [{"to": ANN, "context": {"name": "Ann"}}]}, "to.0.context", "name one in template"),
        ({"to": [f"{'x' * 400}@example.org"]}, "to.0.to", "at most 400"),
        ({"context": {"name": "Ann"}}, "context", "name one in template"),
        ({"subject": "Hello\nBcc: all@example.org"}, "subject", "one line"),
        ({"subject": ""}, "subject", "is empty"),
        ({"text": ""}, "text", "is empty"),
        ({"template": "nothing"}, "template", "is no template"),
        ({"category": "fun"}, "category", "use one of account"),
        ({"lane": "express"}, "lane", "default, urgent, bulk"),
        ({"send_at": "2027-01-01T09:00:00"}, "send_at", "with its offset"),
        ({"send_at": 1798794000}, "send_at", "with its offset"),
        ({"send_at": "soon"}, "send_at", "with its offset"),
        ({"send_at": "1901-01-01T00:00:00Z"}, "send_at", "100 years away"),
        ({"send_at": TOO_EARLY_IN_UTC}, "send_at", "with its offset"),
        ({"from_email": "shop"}, "from_email", "name@example.org"),
        ({"reply_to": [ANN] * 11}, "reply_to", "at most 10"),
        ({"key": "7"}, "key", "not permitted"),
    ],
)
def test_a_wrong_field_is_named_with_its_cure_and_nothing_is_stored(
    api: Api, change: dict[str, Any], field: str, cure: str
) -> None:
    answer = api.post("notifications", {**LETTER, **change})

    assert_problem(answer, 422, field)
    assert cure in fields(answer)[field]
    assert not Notification.objects.exists()
    assert not Message.objects.exists()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path
    attachments.of.cache_clear()


def test_a_storage_that_takes_nothing_is_no_fault_of_the_callers(api: Api, settings: Settings, tmp_path: Path) -> None:
    (place := tmp_path / "files").touch()
    settings.MEDIA_ROOT = place
    letter = {**LETTER, "attachments": [{"name": "a.txt", "content": base64_of(b"a")}]}

    answer = api.post("notifications", letter, idempotency_key="order-7")

    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert not Notification.objects.exists()
    place.unlink()
    assert api.post("notifications", letter, idempotency_key="order-7").status_code == 202


def test_files_arrive_byte_for_byte(api: Api, storage: None, mail_server: MailServer) -> None:
    files = [
        {"name": "Größe.pdf", "content": base64_of(b"%PDF-1.7\r\n\x00\xff")},
        {"name": "data", "content": base64_of(b""), "content_type": "application/x-own"},
    ]

    assert api.post("notifications", {**LETTER, "attachments": files}).status_code == 202

    run(Delivery.objects.get())
    parts = [part for part in mail_server.deliveries[0].message.walk() if part.get_filename()]
    assert [(part.get_filename(), part.get_content_type(), part.get_payload(decode=True)) for part in parts] == [
        ("Größe.pdf", "application/pdf", b"%PDF-1.7\r\n\x00\xff"),
        ("data", "application/x-own", b""),
    ]


@pytest.mark.parametrize(
    ("files", "field", "cure"),
    [
        ("a.pdf", "attachments", "list"),
        ([{"name": "a.pdf"}], "attachments.0.content", "required"),
        ([{"name": "a.pdf", "content": "§"}], "attachments.0.content", "is no Base64"),
        ([{"name": "a.pdf", "content": "YQ"}], "attachments.0.content", "is no Base64"),
        ([{"name": "a.pdf", "content": 7}], "attachments.0.content", "is no Base64"),
        ([{"name": "", "content": "YQ=="}], "attachments.0.name", "at least 1"),
        ([{"name": "..", "content": "YQ=="}], "attachments.0", "is no name of a file"),
        ([{"name": "a", "content": "YQ==", "content_type": "text"}], "attachments.0", "is no content type"),
        ([{"name": "a", "content": "YQ==", "url": "x"}], "attachments.0.url", "not permitted"),
        ([{"name": "a", "content": "YWFhYWE="}], "attachments", "have 5 bytes; 4 bytes may go with an e-mail"),
        ([{"name": "a", "content": ""}] * 51, "attachments", "at most 50"),
    ],
)
def test_a_file_that_cannot_be_sent_is_named_with_the_cure_and_nothing_is_stored(
    api: Api, storage: None, settings: Settings, tmp_path: Path, files: Any, field: str, cure: str
) -> None:
    settings.TASKYARD_MAX_ATTACHMENTS = 4

    answer = api.post("notifications", {**LETTER, "attachments": files})

    assert_problem(answer, 422, field)
    assert cure in fields(answer)[field]
    assert not Notification.objects.exists()
    assert not list(tmp_path.iterdir())


def test_another_file_with_the_same_key_is_another_body(api: Api, storage: None) -> None:
    def post(content: bytes) -> Any:
        files = [{"name": "a.txt", "content": base64_of(content)}]
        return api.post("notifications", {**LETTER, "attachments": files}, idempotency_key="7")

    first = post(b"1")

    assert post(b"1").json() == first.json()
    assert_problem(post(b"2"), 422, "Idempotency-Key")
    assert Attachment.objects.count() == 1


def test_values_that_a_template_needs_are_asked_for(api: Api, welcome: Template) -> None:
    answer = api.post("notifications", {"to": [{"to": ANN, "context": {"name": "Ann"}}, BEN], "template": "welcome"})

    assert "the template needs name" in str(fields(answer))
    assert not Notification.objects.exists()


def test_more_recipients_than_a_call_takes_are_told_where_to_go(api: Api) -> None:
    everybody = [f"reader{number}@example.org" for number in range(MAX_RECIPIENTS + 1)]

    refused = api.post("notifications", {**LETTER, "to": everybody})
    taken = api.post("notifications", {**LETTER, "to": everybody[1:]})

    assert "notify --csv" in fields(refused)["to"]
    assert taken.json()["recipients"] == Delivery.objects.count() == MAX_RECIPIENTS


def test_it_waits_until_it_is_to_be_sent(api: Api) -> None:
    answer = api.post("notifications", {**LETTER, "send_at": "2099-01-01T09:00:00+09:00"})

    assert Message.objects.get().due_at == datetime(2099, 1, 1, tzinfo=UTC)
    assert api.get(answer.json()["url"]).json()["state"] == "scheduled"


def test_a_call_made_again_with_its_key_is_answered_as_the_first_and_sends_nothing(api: Api) -> None:
    first = api.post("notifications", LETTER, idempotency_key="order-7")
    again = api.post("notifications", dict(reversed(LETTER.items())), idempotency_key="order-7")

    assert (again.status_code, again.content, again["Location"]) == (202, first.content, first["Location"])
    assert (Delivery.objects.count(), Message.objects.count()) == (1, 1)


def test_it_is_answered_so_after_the_template_has_come_to_need_more(api: Api, welcome: Template) -> None:
    body = {"to": [{"to": ANN, "context": {"name": "Ann"}}], "template": "welcome"}
    first = api.post("notifications", body, idempotency_key="7")
    version(welcome, 2, variables=[{"name": "shop", "required": True}])

    assert api.post("notifications", body, idempotency_key="7").content == first.content
    assert api.post("notifications", body, idempotency_key="8").status_code == 422


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Another one"},
        {"to": [BEN]},
        {"to": [ANN, BEN]},
        {"lane": "urgent"},
        {"send_at": "2099-01-01T00:00:00Z"},
        {"from_email": "shop@example.org"},
    ],
)
def test_a_key_that_comes_with_another_body_is_refused(api: Api, change: dict[str, Any]) -> None:
    api.post("notifications", LETTER, idempotency_key="7")

    answer = api.post("notifications", {**LETTER, **change}, idempotency_key="7")

    assert_problem(answer, 422, "Idempotency-Key")
    assert "came before with another body" in fields(answer)["Idempotency-Key"]
    assert Delivery.objects.count() == 1


def test_a_secret_value_that_differs_is_another_body(api: Api, welcome: Template) -> None:
    def send(link: str) -> Any:
        to = [{"to": ANN, "context": {"name": "Ann", "link": link}}]
        return api.post("notifications", {"to": to, "template": "welcome"}, idempotency_key="7")

    assert [send("https://example.org/1").status_code, send("https://example.org/2").status_code] == [202, 422]


def test_another_program_may_use_the_same_key(api: Api) -> None:
    other = Api(new_token(called="newsletter"))

    for each in (api, other):
        assert each.post("notifications", LETTER, idempotency_key="7").status_code == 202

    assert Notification.objects.count() == 2


def test_a_key_of_a_call_that_was_refused_is_free(api: Api) -> None:
    api.post("notifications", {**LETTER, "to": ["nobody"]}, idempotency_key="7")

    assert api.post("notifications", LETTER, idempotency_key="7").status_code == 202


def test_quotation_marks_around_a_key_are_not_part_of_it(api: Api) -> None:
    bare = api.post("notifications", LETTER, idempotency_key="7")

    assert api.post("notifications", LETTER, idempotency_key='"7"').content == bare.content


@pytest.mark.parametrize("key", ["", '"', '""', '"7', "a b", "ü", "a,b", "a\\b", "x" * 101, "7\t7"])
def test_a_key_that_cannot_be_one_is_refused(api: Api, key: str) -> None:
    answer = api.post("notifications", LETTER, idempotency_key=key)

    assert "1 to 100 visible ASCII characters" in fields(answer)["Idempotency-Key"]
    assert not Notification.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_calls_at_once_with_one_key_are_one_and_answered_alike(transactional_db: None) -> None:
    token, together, answers = new_token(), threading.Barrier(4), []

    def call() -> None:
        together.wait()
        answer = Api(token).post("notifications", {**LETTER, "to": [ANN, BEN]}, idempotency_key="7")
        answers.append((answer.status_code, answer.content))
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 4
    assert len(set(answers)) == 1
    assert answers[0][0] == 202
    assert (Notification.objects.count(), Delivery.objects.count(), Message.objects.count()) == (1, 2, 2)


def test_an_absent_broker_keeps_nobody_from_being_written_to(api: Api, absent_broker: None) -> None:
    assert api.post("notifications", LETTER).status_code == 202


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_told_to_come_back_to(api: Api, dead_database: None) -> None:
    for answer in (api.post("notifications", LETTER, idempotency_key="7"), api.get(f"notifications/{uuid4()}")):
        assert_problem(answer, 503, "The database cannot be reached. Try again later.")
        assert answer["Retry-After"] == "10"


def test_a_body_too_large_is_refused(api: Api, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert_problem(api.post("notifications", {**LETTER, "text": "x" * 1000}), 413, "1,000 bytes")


def test_cancelling_says_how_many_it_kept_from_being_sent_and_how_many_it_did_not(
    api: Api, mail_server: MailServer
) -> None:
    url = api.post("notifications", {**LETTER, "to": [ANN, BEN, "cid@example.org"]}).json()["url"]
    run(Delivery.objects.get(address_key=ANN))

    first = api.post(f"{url.removeprefix('/api/v1/')}/cancel")
    again = api.post(f"{url.removeprefix('/api/v1/')}/cancel")

    assert first.json() == again.json() == {"id": url.rpartition("/")[2], "cancelled": 2, "too_late": 1}
    assert api.get(url).json()["state"] == "cancelled"
    assert run(Delivery.objects.get(address_key=BEN))["state"] == "cancelled"
    assert len(mail_server.deliveries) == 1


def test_what_is_unknown_cannot_be_cancelled(api: Api) -> None:
    assert_problem(api.post(f"notifications/{uuid4()}/cancel"), 404, "Check the id")


def test_what_is_in_the_past_is_sent_at_once(api: Api) -> None:
    api.post("notifications", {**LETTER, "send_at": "1990-01-01T00:00:00Z"})

    assert Message.objects.get().due_at < datetime.now(UTC) + timedelta(minutes=1)


def test_the_application_and_its_programs_do_not_share_keys(api: Api) -> None:
    services.notify(ANN, subject="From within", text="Hello.\n", key="7")

    assert api.post("notifications", LETTER, idempotency_key="7").status_code == 202
    assert Notification.objects.count() == 2
