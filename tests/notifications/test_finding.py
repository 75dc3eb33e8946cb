"""What people have in hand finds the delivery, and nothing else does."""

from uuid import UUID

import pytest
from django.db import connection

from notifications import finding, services
from notifications.tables import Delivery
from routing.ledger.tables import Message
from tests.notifications import delivery_specimens as specimens

pytestmark = pytest.mark.django_db


def found(term: str) -> list[int]:
    return list(Delivery.objects.filter(finding.deliveries(term).where).order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(
    "term",
    ["ann@example.org", "ANN@Example.ORG", "Ann Example <ann@example.org>", "<ann@example.org>", "  ann@example.org "],
)
def test_an_address_is_found_in_any_spelling(term: str) -> None:
    row = specimens.delivery()
    specimens.delivery("ben@example.org")

    assert found(term) == [row.pk]


@pytest.mark.parametrize("term", ["zoe@bücher.example", "zoe@xn--bcher-kva.example", "Zoe@BÜCHER.example"])
def test_a_domain_is_found_in_both_its_forms(term: str) -> None:
    row = specimens.delivery(specimens.UNICODE)

    assert found(term) == [row.pk]


def test_every_id_finds_it() -> None:
    row = specimens.delivery(key="invoice:7")
    specimens.delivery("ben@example.org", key="invoice:8")

    terms = ["invoice:7", row.message_id, row.message_id.strip("<>"), row.message_id.upper(), str(row.pk)]
    terms += [str(row.notification_id), row.notification_id.hex, row.task_id, row.task_id.upper()]
    assert {term: found(term) for term in terms} == {term: [row.pk] for term in terms}


def test_a_uuid_that_is_no_notification_is_not_looked_for_among_deliveries() -> None:
    """PostgreSQL takes it for a notification of thousands, and reads the whole table from its end to find some."""
    row = specimens.delivery()

    assert ("notification", UUID(row.task_id)) not in finding.deliveries(row.task_id).where.children
    assert ("notification", row.notification_id) in finding.deliveries(str(row.notification_id)).where.children


def test_one_of_many_is_found_by_its_message_id_alone() -> None:
    notification = services.notify(["ann@example.org", "ben@example.org"], subject="Hi", text="Hello")
    second = notification.deliveries.get(position=1)

    assert found(second.message_id) == [second.pk]
    assert len(found(str(notification.pk))) == 2


def test_a_key_that_looks_like_an_address_is_found() -> None:
    row = specimens.delivery(key="welcome:ann@example.org")

    assert found("welcome:ann@example.org") == [row.pk]


@pytest.mark.parametrize("term", ["@", "a@b@c", "\0", "99999999999999999999", "'; DROP", "<>", "é", "٣", "x" * 5000])
def test_what_is_nothing_finds_nothing(term: str) -> None:
    specimens.delivery()

    assert found(term) == []


def test_a_task_of_something_else_finds_nothing() -> None:
    specimens.delivery()
    Message.objects.update(body='[["other"], {}, {}]')

    assert found(Message.objects.get().pk) == []


def test_an_address_is_looked_up_in_an_index() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's plan")
    services.notify([f"{number}@example.org" for number in range(1000)], subject="Hi", text="Hello")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notifications_delivery")
    plan = Delivery.objects.filter(finding.deliveries("ann@example.org").where).order_by("-pk")[:50].explain()
    assert "notifications_of_address" in plan
