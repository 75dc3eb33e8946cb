"""The pages of notifications: what was said to how many, how far it has come, and cancelling."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications import services
from notifications.admin_notifications import NotificationAdmin
from notifications.tables import Delivery, Notification
from routing.console import places
from tests.notifications import delivery_specimens as specimens
from tests.notifications.test_admin_deliveries import viewer
from tests.notifications.test_deciding import with_secret

__all__ = ["viewer"]

pytestmark = pytest.mark.django_db
State = Delivery.State
LIST = "/admin/notifications/notification/"


def newsletter(count: int = 6) -> Notification:
    people = [f"p{number}@example.org" for number in range(count)]
    notification = services.notify(people, subject="News", text="Hello", category="news", key="news:7")
    notification.deliveries.filter(position__lt=2).update(state=State.SENT, finished_at=timezone.now())
    notification.deliveries.filter(position=2).update(state=State.FAILED, finished_at=timezone.now())
    return notification


def page(client: Client, row: Notification) -> str:
    return client.get(f"{LIST}{row.pk}/change/").content.decode()


def cancel(client: Client, row: Notification, **answer: str) -> Any:
    data = {"action": "cancel_selected", "_selected_action": row.pk, **answer}
    return client.post(LIST, data, follow=True).content.decode()


def test_the_page_tells_how_far_it_has_come(admin_client: Client) -> None:
    row = newsletter()

    told = page(admin_client, row)

    assert "Sent to 2 of 6 recipients." in told
    assert f"?notification={row.pk}&amp;state=failed" in told
    assert 'max="6" value="3"' in told
    assert "news:7" in told


def test_it_is_found_by_whatever_is_in_hand(admin_client: Client) -> None:
    row, other = newsletter(), with_secret().notification

    def found(term: str) -> list[Any]:
        return [one.pk for one in admin_client.get(LIST, {"q": term}).context["cl"].result_list]

    assert [found(term) for term in ("news:7", str(row.pk), row.deliveries.all()[0].message_id)] == [[row.pk]] * 3
    assert found("reset") == [other.pk]
    assert found("nothing") == []


def shown(client: Client, url: str = "") -> Any:
    """The list at this address."""
    return client.get(f"{LIST}{url}").context["cl"]


def keys(shown: Any) -> list[Any]:
    return [row.pk for row in shown.result_list]


def test_each_notification_is_on_one_page_whatever_arrives_meanwhile(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of one moment, whose keys alone tell them apart."""
    monkeypatch.setattr(NotificationAdmin, "list_per_page", 2)
    for _ in range(5):
        specimens.sent()
    at = timezone.now().replace(microsecond=0) - timedelta(hours=1)
    for number, row in enumerate(Notification.objects.order_by("created_at")):
        Notification.objects.filter(pk=row.pk).update(created_at=at + timedelta(microseconds=number // 3))
    stored = list(Notification.objects.order_by("-created_at", "-pk").values_list("pk", flat=True))

    first = shown(admin_client)
    late = specimens.sent().notification.pk
    second = shown(admin_client, first.older_url)
    third = shown(admin_client, second.older_url)
    back = shown(admin_client, third.newer_url)
    newest = shown(admin_client, back.newer_url)

    assert keys(first) + keys(second) + keys(third) == stored
    assert (first.newer_url, third.older_url) == ("", "")
    assert (keys(back), keys(newest)) == (keys(second), keys(first))
    assert keys(shown(admin_client, newest.newer_url)) == [late, stored[0]]
    beyond = shown(admin_client, f"?before={places.ByTime('created_at').of(Notification.objects.get(pk=stored[-1]))}")
    assert keys(beyond) == []
    assert keys(shown(admin_client, beyond.newer_url))[-1] == stored[-1]


@pytest.mark.any_database
@pytest.mark.parametrize("place", ["before=x", "after=7", f"before={'9' * 18}-{'f' * 32}", "before=1-%00"])
def test_an_address_that_names_no_place_begins_at_the_newest_and_says_so(admin_client: Client, place: str) -> None:
    row = specimens.sent().notification

    response = admin_client.get(f"{LIST}?{place}")

    assert keys(response.context["cl"]) == [row.pk]
    assert "The address names no place in the list." in response.content.decode()


def test_nothing_is_counted_but_what_is_narrowed(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotificationAdmin, "list_per_page", 2)
    monkeypatch.setattr(places, "COUNTED", 4)
    for _ in range(5):
        specimens.sent()

    with CaptureQueriesContext(connection) as asked:
        everything = shown(admin_client)

    said = [query["sql"].upper() for query in asked]
    assert not [sql for sql in said if "COUNT(" in sql and "NOTIFICATIONS_NOTIFICATION" in sql]
    assert (everything.count, everything.result_count) == ("", 2)
    category = Notification.objects.values_list("category", flat=True)[0]
    assert shown(admin_client, f"?category={category}").count == "4 or more"


def test_cancelling_asks_and_says_how_many_it_still_caught(admin_client: Client) -> None:
    row = newsletter()

    asked = cancel(admin_client, row)
    assert "Cancel this notification?" in asked
    assert row.deliveries.filter(state=State.PENDING).count() == 3

    assert "it still caught 3 deliveries" in cancel(admin_client, row, confirmed="yes")
    assert "It is cancelled already. admin was first." in cancel(admin_client, row, confirmed="yes")
    assert LogEntry.objects.get().change_message == "Cancelled; it still caught 3 deliveries."


def test_who_may_only_look_cannot_cancel(viewer: Client) -> None:
    row = newsletter()

    told = page(viewer, row)
    cancel(viewer, row, confirmed="yes")

    assert "Sent to 2 of 6" in told
    assert "Cancel…" not in told
    assert row.deliveries.filter(state=State.PENDING).count() == 3


def test_a_single_one_is_told_in_the_singular(admin_client: Client) -> None:
    assert "Sent to 1 of 1 recipient." in page(admin_client, specimens.sent().notification)


def test_what_is_not_there_is_said_to_be_missing(admin_client: Client) -> None:
    answer = admin_client.get(f"{LIST}nonsense/change/", follow=True)

    assert answer.status_code == 200
    assert "exist. Perhaps it was deleted?" in answer.content.decode()


def test_both_lists_say_that_there_is_nothing_yet(admin_client: Client) -> None:
    for url in (LIST, "/admin/notifications/delivery/"):
        assert admin_client.get(url).status_code == 200
