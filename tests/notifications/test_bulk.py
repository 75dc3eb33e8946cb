"""``notify_many``: whatever dies or comes twice, each recipient is stored once, or is told why not."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from notifications import given, many, services
from notifications.given import Recipient
from notifications.many import Batch
from notifications.problems import InvalidNotification
from notifications.storing import BATCH
from notifications.tables import Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing.ledger.tables import Message, Outbox

pytestmark = pytest.mark.django_db
MANY = 3 * BATCH + 7


def people(count: int = MANY, *, first: int = 0) -> Iterator[str]:
    return (f"r{number}@example.org" for number in range(first, first + count))


def send(recipients: Any, **changes: Any) -> Notification:
    return services.notify_many(
        recipients, **{"key": "newsletter:7", "subject": "News", "text": "Read it.\n", "lane": "bulk", **changes}
    )


class Interruption(Exception):
    pass


def interrupting(*, after: int) -> Callable[[Batch], None]:
    """To be called after each batch; raises after so many."""
    left = [after]

    def interrupt(_batch: Batch) -> None:
        left[0] -= 1
        if not left[0]:
            raise Interruption

    return interrupt


def require_whole(notification: Notification, count: int = MANY) -> None:
    """Each has one delivery and one task, each in its place."""
    assert (notification.recipients, notification.consumed, notification.is_complete) == (count, count, True)
    deliveries = notification.deliveries.order_by("position").values_list("position", "address_key", "task_id")
    assert [row[:2] for row in deliveries] == list(enumerate(people(count)))
    assert set(Message.objects.values_list("pk", flat=True)) == {row[2] for row in deliveries}
    assert Outbox.objects.filter(queue="notifications.bulk").count() == count


def test_each_of_many_has_a_delivery_and_a_task() -> None:
    require_whole(send(people()))


def test_each_batch_is_told_once_it_is_committed() -> None:
    told: list[tuple[int, int]] = []

    send(people(), on_batch=lambda batch: told.append((batch.consumed, batch.stored)))

    assert told == [(BATCH, BATCH), (2 * BATCH, BATCH), (3 * BATCH, BATCH), (MANY, 7)]


def test_an_interrupted_one_goes_on_after_the_last_batch_that_was_committed() -> None:
    with pytest.raises(Interruption):
        send(people(), on_batch=interrupting(after=2))
    half = Notification.objects.get()
    assert (half.recipients, half.is_complete) == (2 * BATCH, False)
    assert "the same call, with the key 'newsletter:7', goes on there" in many.going_on(half)

    whole = send(people())

    require_whole(whole)
    assert many.going_on(whole) == ""


def test_a_complete_one_takes_nobody_in_any_more() -> None:
    send(people(3))

    again = send(people(5))

    assert (again.recipients, Delivery.objects.count()) == (3, 3)


def test_an_error_in_the_callers_list_keeps_what_came_before_it() -> None:
    def broken() -> Iterator[Any]:
        yield from people(BATCH)
        yield 7

    with pytest.raises(TypeError, match="7 is no recipient"):
        send(broken())

    assert Notification.objects.get().recipients == BATCH
    require_whole(send(people()))


def test_who_cannot_be_written_to_is_kept_with_the_reason() -> None:
    told: list[tuple[int, str]] = []

    notification = send(
        [
            "ann@example.org",
            "nobody",
            {"email": None},
            Recipient("ben@example.org", problem="has left"),
            "ANN@example.org",
            Recipient("cat@example.org", {"name": "a\0b"}),
            Recipient("dan@example.org", {"name": "\ud800"}),
            Recipient("eve@example.org", {"name": object()}),
            "x" * 401 + " <fay@example.org>",
            "gus@example.org",
        ],
        on_batch=lambda batch: told.extend((bad.position, bad.reason) for bad in batch.rejected),
    )

    kept = list(notification.rejections.order_by("position").values_list("position", "reason"))
    last = kept[-1][1]
    assert sorted(told) == kept
    assert [(position, reason.partition(":")[0]) for position, reason in kept[:-1]] == [
        (1, "'nobody' is no e-mail address, such as name@example.org"),
        (2, "the address is empty"),
        (3, "has left"),
        (4, "ann@example.org is in it already"),
        (5, "its values have a NUL, which no message can carry; take it out"),
        (6, "its values cannot be stored as JSON"),
        (7, "its values cannot be stored as JSON"),
    ]
    assert "longer than" in last
    assert list(notification.deliveries.order_by("position").values_list("position", flat=True)) == [0, 9]


def test_an_address_of_an_earlier_batch_is_a_duplicate_unless_duplicates_are_wanted() -> None:
    twice = [*people(BATCH), "r0@example.org"]

    assert send(twice).rejections.get().position == BATCH
    assert send(twice, key="other", allow_duplicates=True).recipients == BATCH + 1


def test_a_huge_address_is_rejected_and_cut_short() -> None:
    rejected = send(["a" * 1_000_000, "\ud800@example.org", "ann@example.org"]).rejections.order_by("position")

    assert [len(one.address) for one in rejected] == [400, len("?@example.org")]
    assert all(len(one.reason) <= 1000 for one in rejected)


def test_recipients_of_a_template_need_its_values_and_secrets_are_sealed() -> None:
    template = Template.objects.create(name="reset")
    variables = [{"name": "name", "required": True}, {"name": "link", "required": True, "secret": True}]
    TemplateVersion.objects.create(
        template=template, number=1, subject="Hi {{ name }}", text="{{ link }}", variables=variables
    )

    notification = services.notify_many(
        [{"email": "ann@example.org", "name": "Ann", "link": "https://x.example/1"}, {"email": "ben@example.org"}],
        key="reset",
        template="reset",
    )

    assert notification.rejections.get().reason == "the template needs link, name"
    delivery = notification.deliveries.get()
    assert "x.example" not in str(delivery.context)
    assert delivery.sealed


@pytest.mark.parametrize(
    ("changes", "words"), [({"key": None}, "key is missing"), ({"lane": "fast"}, "lane 'fast' does not exist")]
)
def test_what_is_wrong_is_told_before_anything_is_stored(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidNotification, match=words):
        send(people(), **changes)

    assert not Notification.objects.exists()


def test_an_empty_list_stores_nothing() -> None:
    with pytest.raises(InvalidNotification, match="recipients names no recipient"):
        send(iter(()))

    assert not Notification.objects.exists()


def test_a_shorter_list_the_next_time_ends_it() -> None:
    with pytest.raises(Interruption):
        send(people(), on_batch=interrupting(after=2))

    notification = send(people(3))

    assert (notification.recipients, notification.is_complete) == (2 * BATCH, True)


def test_cancelling_it_while_it_is_being_stored_stops_it() -> None:
    notification = send(people(), on_batch=lambda batch: services.cancel(batch.notification))

    assert (notification.consumed, notification.is_complete) == (BATCH, False)
    assert not Delivery.objects.exclude(state=Delivery.State.CANCELLED).exists()
    assert send(people()).consumed == BATCH


@pytest.mark.django_db(transaction=True)
def test_it_is_refused_within_a_transaction() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="or call notify"):
        send(people(1))

    assert not Notification.objects.exists()


def test_a_queryset_is_read_by_its_key_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "PAGE", 3)
    users = get_user_model().objects
    users.bulk_create(users.model(username=f"u{number}", email=f"u{number}@example.org") for number in range(10))

    read = [one.to for one in given.each(users.exclude(username="u4"))]
    by_name = [one.to for one in given.each(users.order_by("-username"))]
    as_values = [one.context for one in given.each(users.values("email", "username"))]

    assert read == [f"u{number}@example.org" for number in range(10) if number != 4]
    assert by_name == [f"u{number}@example.org" for number in reversed(range(10))]
    assert as_values == [{"username": f"u{number}"} for number in range(10)]


@pytest.mark.django_db(transaction=True)
def test_two_callers_at_once_store_each_batch_once() -> None:
    """Both are in it before either stores: then each batch has one winner, and both come to the end."""
    both = threading.Barrier(2, timeout=60)
    done: list[Notification] = []
    told: list[int] = []

    def recipients() -> Iterator[str]:
        both.wait()
        yield from people()

    def call() -> None:
        try:
            done.append(send(recipients(), on_batch=lambda batch: told.append(batch.consumed)))
        finally:
            connection.close()

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)

    assert len(done) == 2
    assert sorted(told) == [BATCH, 2 * BATCH, 3 * BATCH, MANY]
    require_whole(Notification.objects.get())
