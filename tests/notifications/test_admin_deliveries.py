"""The pages of deliveries: the answer at a glance, the message as it went out, and decisions that are made once."""

from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from notifications import deciding, delivery_deeds, services
from notifications.admin_deliveries import ByPosition, DeliveryAdmin
from notifications.consent.tables import Suppression
from notifications.tables import Delivery
from routing.console import places
from routing.ledger.tables import Message
from tests.notifications import delivery_specimens as specimens
from tests.notifications.test_deciding import with_secret

pytestmark = pytest.mark.django_db
State = Delivery.State
LIST = "/admin/notifications/delivery/"


@pytest.fixture
def viewer(client: Client) -> Client:
    """May look at deliveries, and nothing else."""
    user = User.objects.create(username="viewer", is_staff=True)
    codes = ("view_delivery", "view_notification")
    user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    client.force_login(user)
    return client


def page(client: Client, row: Delivery) -> str:
    return client.get(f"{LIST}{row.pk}/change/").content.decode()


def ask(client: Client, action: str, *rows: Delivery) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": [row.pk for row in rows]})


def confirm(client: Client, asked: Any) -> str:
    """Answer the page that asks, as it came."""
    context = asked.context
    data = {
        "action": context["deed"].action,
        "_selected_action": [key for key, _mark in context["rows"]],
        "seen": [mark for _key, mark in context["rows"]],
        "confirmed": "yes",
    }
    return client.post(LIST, data, follow=True).content.decode()


def test_the_list_answers_at_a_glance(admin_client: Client) -> None:
    specimens.all_kinds()

    told = admin_client.get(LIST).content.decode()

    for words in (
        "250 2.0.0 Ok: queued as 4F1b",
        "refused for good: 550 5.1.1 No such user",
        "waits: 450 4.2.0 Greylisted, next try",
        "given up: 452 4.2.2 Mailbox full",
        "scheduled for",
        "asked: may have been sent",
        "the address is suppressed: bounced",
        "unsubscribed from “News”",
        "waits for a worker of notifications.urgent",
    ):
        assert words in told


def test_the_list_asks_as_little_for_many_as_for_one(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        specimens.sent(f"p{number}@example.org")
        specimens.delivery(f"q{number}@example.org")

    with django_assert_max_num_queries(12):
        admin_client.get(LIST)


def shown(client: Client, url: str) -> Any:
    """The list at this address."""
    return client.get(f"{LIST}{url}").context["cl"]


def keys(shown: Any) -> list[int]:
    return [row.pk for row in shown.result_list]


def test_each_delivery_is_on_one_page_whatever_arrives_meanwhile(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeliveryAdmin, "list_per_page", 2)
    stored = [specimens.sent(f"p{number}@example.org").pk for number in range(5)]

    first = shown(admin_client, "")
    late = specimens.sent("late@example.org").pk
    second = shown(admin_client, first.older_url)
    third = shown(admin_client, second.older_url)
    back = shown(admin_client, third.newer_url)
    newest = shown(admin_client, back.newer_url)

    assert keys(first) + keys(second) + keys(third) == stored[::-1]
    assert (first.newer_url, third.older_url) == ("", "")
    assert keys(back) == keys(second)
    assert keys(newest) == keys(first)
    assert keys(shown(admin_client, newest.newer_url)) == [late, stored[-1]]


@pytest.mark.parametrize("asked", ["notification={0.pk}", "q={0.key}", "q={0.pk}"])
def test_those_of_one_notification_are_read_by_their_positions(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """By keys, PostgreSQL goes through all that is newer: half a minute behind ten million deliveries."""
    monkeypatch.setattr(DeliveryAdmin, "list_per_page", 2)
    people, _early = [f"p{number}@example.org" for number in range(5)], specimens.sent("early@example.org")
    notification = services.notify(people, key="invoice:7", subject="Hi", text="Hello")
    specimens.sent("late@example.org")

    first = shown(admin_client, f"?{asked.format(notification)}")
    second = shown(admin_client, first.older_url)
    third = shown(admin_client, second.older_url)
    back = shown(admin_client, third.newer_url)

    pages = [[row.address for row in page.result_list] for page in (first, second, third, back)]
    assert pages == [people[:2:-1], people[2:0:-1], people[:1], people[2:0:-1]]
    assert keys(shown(admin_client, back.newer_url)) == keys(first)
    assert third.older_url == ""
    assert [isinstance(page.order, ByPosition) for page in (first, shown(admin_client, ""))] == [True, False]


def test_a_place_beyond_the_last_leads_back(admin_client: Client) -> None:
    row = specimens.sent()

    beyond = shown(admin_client, f"?before={row.pk}")

    assert keys(beyond) == []
    assert keys(shown(admin_client, beyond.newer_url)) == [row.pk]


@pytest.mark.parametrize("place", ["before=x", "after=-1", "before=" + "9" * 30, "before=0", "after=%00"])
def test_an_address_that_names_no_place_begins_at_the_newest_and_says_so(admin_client: Client, place: str) -> None:
    row = specimens.sent()

    response = admin_client.get(f"{LIST}?{place}")

    assert keys(response.context["cl"]) == [row.pk]
    assert "The address names no place in the list." in response.content.decode()


def test_nothing_is_counted_but_what_is_narrowed(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeliveryAdmin, "list_per_page", 2)
    monkeypatch.setattr(places, "COUNTED", 4)
    for _ in range(5):
        specimens.sent("ann@example.org")
    specimens.sent("ben@example.org")

    with CaptureQueriesContext(connection) as asked:
        everything = shown(admin_client, "")

    said = [query["sql"].upper() for query in asked]
    assert not [sql for sql in said if "COUNT(" in sql and "NOTIFICATIONS_DELIVERY" in sql]
    assert (everything.count, everything.result_count) == ("", 2)
    assert shown(admin_client, "?q=ann@example.org").count == "4 or more"
    assert shown(admin_client, "?q=ben@example.org").count == "1 in all"


def test_a_suppressed_address_is_named_above_what_is_found(admin_client: Client) -> None:
    specimens.refused()
    Suppression.objects.create(channel="email", address_key="ann@example.org", reason="refused")

    told = admin_client.get(LIST, {"q": "Ann Example <ANN@example.org>"}).content.decode()

    assert "This address is not written to any more: refused for good" in told
    assert "That is ann@example.org." in told


def test_filters_narrow_it(admin_client: Client) -> None:
    kinds = specimens.all_kinds()
    today = timezone.localdate().isoformat()

    def shown(**asked: str) -> set[int]:
        return {row.pk for row in admin_client.get(LIST, asked).context["cl"].result_list}

    assert shown(state="undecided") == {kinds["undecided"].pk}
    assert shown(state="bounced") == {kinds["bounced"].pk}
    assert shown(lane="urgent") == {kinds["pending"].pk}
    assert shown(category="news") == {kinds["undecided"].pk, kinds["unsubscribed"].pk}
    assert shown(day=today) == {row.pk for row in kinds.values()}
    assert shown(day="2020-01-01") == set()
    assert shown(notification=str(kinds["sent"].notification_id)) == {kinds["sent"].pk}
    assert shown(notification="nonsense") == set()


def test_a_day_is_found_by_the_keys_alone(admin_client: Client) -> None:
    old = specimens.sent()
    specimens.aged(old, timedelta(days=3))
    young = specimens.sent("ben@example.org")
    day = timezone.localdate(timezone.now() - timedelta(days=3)).isoformat()

    found = admin_client.get(LIST, {"day": day}).context["cl"].result_list

    assert [row.pk for row in found] == [old.pk]
    assert young.pk not in {row.pk for row in found}


def test_the_page_says_in_one_sentence_that_it_was_taken(admin_client: Client) -> None:
    told = page(admin_client, specimens.sent())

    assert "taken by smtp.example.org:587: 250 2.0.0 Ok: queued as 4F1b" in told
    assert "This is exactly what went out." in told


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("refused", "refused it for good"),
        ("gave_up", "after 1 attempt. The last answer: 452 4.2.2 Mailbox full"),
        ("suppressed", "Not sent: the address is suppressed: bounced."),
        ("bounced", "and it came back: 5.2.1 Mailbox disabled"),
        ("cancelled", "Not sent: it was cancelled on"),
        ("undecided", "It may have been sent"),
        ("greylisted", "Not sent yet: waits: 450 4.2.0 Greylisted, next try"),
        ("scheduled", "Not sent yet: scheduled for"),
    ],
)
def test_the_page_answers_whatever_became_of_it(admin_client: Client, kind: str, sentence: str) -> None:
    assert sentence in page(admin_client, specimens.all_kinds()[kind])


def test_one_whose_task_is_gone_is_said_to_be(admin_client: Client) -> None:
    row = specimens.delivery()
    specimens.forget_task(row)

    told = page(admin_client, row)

    assert "its task is gone" in told
    assert "Send again…" in told


def test_html_of_a_message_can_do_nothing(admin_client: Client) -> None:
    row = specimens.sent(html='<script>alert(1)</script><img src="https://evil.example/x.png">"\'', text="")

    answer = admin_client.get(f"{LIST}{row.pk}/change/")

    told = answer.content.decode()
    assert 'sandbox=""' in told
    assert "<script>alert(1)</script>" not in told
    assert "default-src &#x27;none&#x27;" in told
    assert "img-src 'self' data:" in answer["Content-Security-Policy"]


def test_a_secret_is_shown_nowhere(admin_client: Client) -> None:
    row = with_secret()

    shown = [page(admin_client, row), admin_client.get(f"{LIST}{row.pk}/source/").content.decode()]
    shown.append(admin_client.get(f"/admin/notifications/notification/{row.notification_id}/change/").content.decode())

    assert all("s3cret" not in each for each in shown)
    assert "••••••" in shown[0]


def test_a_message_that_comes_out_different_is_said_to(admin_client: Client) -> None:
    row = specimens.sent()
    Delivery.objects.update(digest="0" * 64)

    assert "This is not exactly what went out" in page(admin_client, row)


def test_one_that_was_emptied_says_so(admin_client: Client) -> None:
    row = specimens.sent()
    type(row.notification).objects.update(emptied_at=timezone.now(), text="")

    assert "The clean-up has removed what it said" in page(admin_client, row)
    assert admin_client.get(f"{LIST}{row.pk}/source/").status_code == 404


def test_the_source_is_a_mail_that_readers_open(admin_client: Client) -> None:
    row = specimens.sent(specimens.UNICODE, subject="Größe", text="Grüße\n", html="<p>Grüße</p>")

    answer = admin_client.get(f"{LIST}{row.pk}/source/")

    mail = message_from_bytes(answer.content, policy=policy.default)
    assert answer["Content-Disposition"] == f'attachment; filename="delivery-{row.pk}.eml"'
    assert (mail["Subject"], mail["Message-ID"]) == ("Größe", row.message_id)
    assert mail.get_body(("plain",)).get_content().strip() == "Grüße"  # type: ignore[union-attr]


def test_sending_again_asks_first_and_says_that_she_gets_it_twice(admin_client: Client) -> None:
    row = specimens.sent()

    asked = ask(admin_client, "resend_selected", row)

    assert "Ann Example &lt;ann@example.org&gt; gets it twice" in asked.content.decode()
    assert not Message.objects.exists()
    assert "1 is to be sent again." in confirm(admin_client, asked)
    assert Message.objects.count() == 1
    assert LogEntry.objects.get().change_message == "To be sent again."


def test_a_page_answered_twice_does_it_once(admin_client: Client) -> None:
    asked = ask(admin_client, "resend_selected", specimens.sent())

    confirm(admin_client, asked)
    told = confirm(admin_client, asked)

    assert "since somebody was first" in told
    assert "admin" in told
    assert Message.objects.count() == 1
    assert LogEntry.objects.count() == 1


def test_a_worker_in_between_is_told(admin_client: Client) -> None:
    row = specimens.delivery()
    asked = ask(admin_client, "cancel_selected", row)
    Delivery.objects.update(state=State.SENT, attempts_made=1)

    told = confirm(admin_client, asked)

    assert "A worker, or somebody on the command line. It is sent now." in told
    assert not LogEntry.objects.exists()


def test_a_suppressed_one_is_refused_with_the_cure(admin_client: Client) -> None:
    row = specimens.refused()
    Suppression.objects.create(channel="email", address_key="ann@example.org", reason="refused")

    asked = ask(admin_client, "resend_selected", row)

    assert "Lift that, then send it again." in asked.content.decode()
    assert "confirmed" not in asked.content.decode()
    confirm(admin_client, asked)
    assert not Message.objects.exists()


def test_an_undecided_one_is_decided_about_on_its_page(admin_client: Client) -> None:
    row = specimens.undecided()
    told = page(admin_client, row)
    assert "It was sent…" in told
    assert "Send it again…" in told

    confirm(admin_client, ask(admin_client, "sent_selected", row))

    row.refresh_from_db()
    assert (row.state, row.reason) == (State.SENT, deciding.DECIDED)
    assert "Recorded as sent." in page(admin_client, row)


def test_many_are_decided_about_at_once_and_the_others_left(admin_client: Client) -> None:
    kinds = specimens.all_kinds()

    asked = ask(admin_client, "cancel_selected", *kinds.values())
    told = confirm(admin_client, asked)

    assert asked.context["count"] == 3
    assert "3 are cancelled." in told
    assert set(Delivery.objects.filter(state=State.CANCELLED).values_list("address_key", flat=True)) == {
        "late@example.org", "dan@example.org", "eve@example.org", "fay@example.org"}  # fmt: skip


def test_too_many_for_a_page_are_sent_to_the_command(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_deeds, "MOST", 1)
    answer = admin_client.post(
        LIST,
        {"action": "resend_selected", "_selected_action": [specimens.sent().pk, specimens.refused().pk]},
        follow=True,
    )
    assert "manage.py deliveries resend" in answer.content.decode()


def test_who_may_only_look_is_offered_nothing_and_can_do_nothing(viewer: Client) -> None:
    row = specimens.sent()

    told = page(viewer, row)
    ask(viewer, "resend_selected", row)
    viewer.post(LIST, {"action": "resend_selected", "_selected_action": [row.pk], "confirmed": "yes"})

    assert "250 2.0.0 Ok" in told
    assert "Send again…" not in told
    assert not Message.objects.exists()


def test_who_may_see_tasks_may_not_read_what_people_are_written(client: Client) -> None:
    user = User.objects.create(username="operator", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_taskresult"))
    client.force_login(user)
    row = specimens.sent()

    urls = (LIST, f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/source/")
    assert [client.get(url).status_code for url in urls] == [403, 403, 403]


def test_a_list_of_a_great_many_is_served_by_indexes(admin_client: Client, settings: Settings) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's plan")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        plan = Delivery.objects.filter(state=State.BOUNCED).order_by("-pk")[:50].explain()
    assert "notifications_not_sent" in plan
