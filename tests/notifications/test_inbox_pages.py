"""The page of an inbox in the admin: its user reads it and marks it read, and nobody else does."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from notifications.inbox import placed, reading
from notifications.inbox.tables import InAppMessage
from notifications.tables import Delivery, Notification
from tests.notifications.test_consent_races import at_once

pytestmark = pytest.mark.django_db
INBOX = "/admin/inbox/"


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben", is_staff=True)


@pytest.fixture
def browser(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def told(user: User, count: int = 1, **said: str) -> list[InAppMessage]:
    """As they are once they were delivered; the oldest first."""
    notification = Notification.objects.create(channel="in_app")
    shared = {"channel": "in_app", "state": Delivery.State.SENT}
    deliveries = Delivery.objects.bulk_create(
        Delivery(notification=notification, position=number, address=f"{user}", address_key=f"{number}", **shared)
        for number in range(count)
    )
    InAppMessage.objects.bulk_create(
        InAppMessage(
            user=user, delivery=row, category="transactional", **{"subject": f"Nr. {number}", "text": "Look.", **said}
        )
        for number, row in enumerate(deliveries)
    )
    return list(InAppMessage.objects.filter(user=user).order_by("pk"))


def words(browser: Client, url: str = INBOX) -> str:
    page = browser.get(url, follow=True).content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def subjects(browser: Client, url: str = INBOX) -> list[str]:
    return re.findall(r"<bdi>(.*?)</bdi>", browser.get(url).content.decode())


def unread(user: User) -> list[str]:
    return [row.subject for row in reading.messages(user, unread=True)]


def test_all_messages_are_on_one_page_each_the_newest_first(browser: Client, ada: User) -> None:
    rows = told(ada, placed.SIZE + 2)
    names = [row.subject for row in reversed(rows)]

    first = subjects(browser)
    page = browser.get(INBOX).content.decode()
    older = unescape(re.findall(r'href="([^"]+)" rel="next"', page)[0])

    assert first + subjects(browser, older) == names
    assert "Newer" in words(browser, older)


def test_unread_ones_say_so_and_can_be_shown_alone(browser: Client, ada: User) -> None:
    rows = told(ada, 3)
    reading.mark_read(ada, ids=[rows[1].pk])

    assert browser.get(INBOX).content.decode().count(">unread<") == 2
    assert subjects(browser, f"{INBOX}?unread=1") == ["Nr. 2", "Nr. 0"]


def test_to_look_at_a_message_changes_nothing_and_to_open_it_marks_it(browser: Client, ada: User) -> None:
    (row,) = told(ada, text="Fetch it.")
    url = f"{INBOX}{row.pk}/"

    assert "Fetch it." in words(browser, url)
    assert unread(ada) == ["Nr. 0"]

    answer = browser.post(f"{url}read/", {"open": "1"})

    assert (answer["Location"], unread(ada)) == (url, [])


def test_the_first_time_it_was_read_counts(browser: Client, ada: User) -> None:
    (row,) = told(ada)
    browser.post(f"{INBOX}{row.pk}/read/")
    first = InAppMessage.objects.get().read_at

    # The same page in another window.
    answer = browser.post(f"{INBOX}{row.pk}/read/?unread=1&next=https://example.org")

    assert (InAppMessage.objects.get().read_at, answer["Location"]) == (first, f"{INBOX}?unread=1")


def test_what_comes_while_one_looks_is_not_marked_with_all(browser: Client, ada: User) -> None:
    told(ada, 2)
    until = re.findall(r'name="until" value="(\d+)"', browser.get(INBOX).content.decode())[0]
    late = told(ada, subject="Later")[-1]

    first = words_after(browser, until)
    again = words_after(browser, until)

    assert unread(ada) == [late.subject]
    assert "2 messages are marked read." in first
    assert "Nothing was unread any more." in again


def words_after(browser: Client, until: str) -> str:
    page = browser.post(f"{INBOX}read/", {"until": until}, follow=True).content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.django_db(transaction=True)
def test_two_at_once_mark_each_message_once(ada: User) -> None:
    until = told(ada, 5)[-1].pk

    marked = at_once(*[lambda: reading.mark_read(ada, until=until)] * 3)

    assert sorted(marked) == [0, 0, 5]


@pytest.mark.parametrize("until", ["", "x", "-1", "1" * 19, "²"])
def test_a_button_that_says_nothing_marks_nothing(browser: Client, ada: User, until: str) -> None:
    told(ada)

    assert "Nothing is marked: the page did not say up to which message." in words_after(browser, until)
    assert unread(ada) == ["Nr. 0"]


def test_nobody_sees_or_marks_what_is_anothers_and_not_even_that_it_is_there(browser: Client, ben: User) -> None:
    (row,) = told(ben, subject="For Ben alone", text="His secret")
    theirs, none = (f"{INBOX}{number}/" for number in (row.pk, row.pk + 1))

    for url in (INBOX, f"{INBOX}?unread=1", f"{INBOX}?after=0", f"{INBOX}?before={row.pk + 1}"):
        page = browser.get(url).content.decode()
        assert "For Ben alone" not in page
        assert "His secret" not in page
    assert [browser.get(url)["Location"] for url in (theirs, none)] == [INBOX, INBOX]
    words(browser)
    assert words(browser, theirs) == words(browser, none)
    browser.post(f"{theirs}read/")
    browser.post(f"{INBOX}read/", {"until": str(row.pk)})
    assert unread(ben) == ["For Ben alone"]


def test_a_superuser_has_only_their_own(client: Client, ben: User) -> None:
    (row,) = told(ben, text="His secret")
    client.force_login(User.objects.create_superuser("root"))

    assert "Nothing here yet." in words(client)
    assert "There is no such message in your inbox." in words(client, f"{INBOX}{row.pk}/")


def test_no_other_site_marks_and_no_link_does(ada: User) -> None:
    (row,) = told(ada)
    stranger = Client(enforce_csrf_checks=True)
    stranger.force_login(ada)
    urls = (f"{INBOX}read/", f"{INBOX}{row.pk}/read/")

    assert [stranger.post(url, {"until": str(row.pk)}).status_code for url in urls] == [403, 403]
    assert [stranger.get(url).status_code for url in urls] == [405, 405]
    assert unread(ada) == ["Nr. 0"]


def test_whoever_is_no_staff_is_asked_to_sign_in(client: Client) -> None:
    user = User.objects.create_user("customer")
    (row,) = told(user)
    client.force_login(user)

    for url in (INBOX, f"{INBOX}{row.pk}/", f"{INBOX}read/"):
        assert client.get(url)["Location"].startswith("/admin/login/")


def test_what_a_message_says_is_text_and_only_web_and_mail_addresses_are_links(browser: Client, ada: User) -> None:
    text = (
        "<script>steal()</script> javascript:steal() JaVaScRiPt://x.example/%0asteal() data:text/html,x vbscript:x "
        'https://a.example/"onmouseover=steal() <a href=javascript:steal()>x</a> [x](javascript:steal()) '
        "https://ok.example/exports/7?a=1&b=2 ann@example.org"
    )
    (row,) = told(ada, subject="<img src=x onerror=steal()>", text=text)

    pages = [browser.get(url).content.decode() for url in (INBOX, f"{INBOX}{row.pk}/")]
    said = pages[1][pages[1].index('<div class="inbox-text"') :]
    links = [unescape(link) for link in re.findall(r'<a [^>]*?href="([^"]*)"', said)]

    assert not [page for page in pages for raw in ("<script>steal", "<img src=x", "<a href=javascript") if raw in page]
    assert "https://ok.example/exports/7?a=1&b=2" in links
    assert [link for link in links if not link.startswith(("https://", "http://", "mailto:"))] == []
    assert not re.search(r"<a [^>]*\son\w+=", said)


def test_the_bell_tells_how_much_is_unread_and_nothing_where_all_is_read(browser: Client, ada: User) -> None:
    assert "inbox-number" not in browser.get("/admin/").content.decode()

    rows = told(ada, 100)
    assert '<span class="inbox-number" aria-hidden="true">99+</span>' in browser.get("/admin/").content.decode()
    assert "99+ unread messages" in words(browser, "/admin/")

    InAppMessage.objects.exclude(pk=rows[0].pk).update(read_at=timezone.now())
    assert "1 unread message " in words(browser, "/admin/")


@pytest.mark.any_database
def test_the_bell_counts_in_its_index_and_no_further_than_it_tells(ada: User) -> None:
    told(ada)

    plan = reading.messages(ada, unread=True)[:100].explain()

    assert "notifications_inbox_unread" in plan


def test_a_page_asks_as_often_however_much_is_on_it(
    browser: Client, ada: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    told(ada, placed.SIZE)

    # Session, user, two for permissions, the newest unread one, the messages, the bell.
    with django_assert_max_num_queries(7):
        browser.get(INBOX)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "Nothing here yet. Messages for you will appear here"),
        ("?unread=1", "You have read everything."),
        ("?before=x", "The address names no place in the list. Here are the newest."),
        ("?before=7", "There is nothing older."),
    ],
)
def test_a_page_with_nothing_says_why(browser: Client, asked: str, said: str) -> None:
    assert said in words(browser, f"{INBOX}{asked}")


def test_an_address_that_no_key_can_be_is_no_error(browser: Client) -> None:
    assert browser.get(f"{INBOX}{'9' * 18}/")["Location"] == INBOX
    assert browser.post(f"{INBOX}{'9' * 18}/read/")["Location"] == INBOX
    assert browser.get(f"{INBOX}{'9' * 19}/").status_code in (302, 404)
