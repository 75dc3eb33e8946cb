"""Links that nobody can forge, one click that unsubscribes, and the page of all choices."""

import base64
import re
from email import policy
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from notifications.consent import choices, links
from notifications.consent.links import BadLink, Reader
from notifications.consent.tables import Preference
from notifications.tables import Delivery
from tests.notifications.consenting import ANN, BEN, CLICK, letter, path, run, sent, state
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
OLD_KEY = "an-old-key-that-was-in-use-until-last-year"


@pytest.fixture
def client() -> Client:
    """A program without cookies that would be refused if a CSRF token were asked for."""
    return Client(enforce_csrf_checks=True)


def wanted(address: str = ANN) -> list[str]:
    return [choice.category.name for choice in choices.of(address) if choice.wanted]


# --- Links


def test_a_link_tells_whose_it_is_and_shows_no_address() -> None:
    reader = Reader("email", ANN, "news")

    assert links.read(reader.token) == reader
    assert re.fullmatch(r"[\w-]+", reader.token)
    assert "ann" not in str(base64.urlsafe_b64decode(reader.token + "==="))


def test_a_link_is_the_same_whenever_it_is_made() -> None:
    assert Reader("email", ANN, "news").token == Reader("email", ANN, "news").token


def test_links_lead_to_the_pages(settings: Settings) -> None:
    settings.SITE_URL = "https://mail.example.org"
    reader = Reader("email", ANN, "news")

    assert (
        reader.unsubscribe_url == f"https://mail.example.org{reverse('notifications:unsubscribe', args=[reader.token])}"
    )
    assert (
        reader.preferences_url == f"https://mail.example.org{reverse('notifications:preferences', args=[reader.token])}"
    )


def test_every_altered_letter_makes_a_link_a_bad_one() -> None:
    token = Reader("email", ANN, "news").token

    for place, letter_there in enumerate(token[:-1]):
        other = "A" if letter_there != "A" else "B"
        with pytest.raises(BadLink):
            links.read(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize("token", ["", "x", "nonsense", "ü", "A" * 64, "A" * 5000, "../admin", "%00", "\0"])
def test_what_we_have_not_made_is_a_bad_link(token: str) -> None:
    with pytest.raises(BadLink):
        links.read(token)


def test_a_link_made_with_another_key_is_good_as_long_as_that_is_a_fallback(settings: Settings) -> None:
    new, settings.SECRET_KEY = settings.SECRET_KEY, OLD_KEY
    token = Reader("email", ANN, "news").token
    settings.SECRET_KEY = new

    with pytest.raises(BadLink):
        links.read(token)
    settings.SECRET_KEY_FALLBACKS = [OLD_KEY]
    assert links.read(token).address_key == ANN


@pytest.mark.parametrize(
    ("address", "masked"),
    [(ANN, "a…n@example.org"), ("al@example.org", "a…@example.org"), ("a@example.org", "a…@example.org")],
)
def test_an_address_is_shown_masked(address: str, masked: str) -> None:
    assert Reader("email", address, "news").masked == masked


# --- One click


def test_one_click_unsubscribes_at_once_and_sets_no_cookie(client: Client) -> None:
    answer = client.post(path("unsubscribe"), CLICK)

    assert (answer.status_code, answer.cookies) == (200, {})
    assert wanted() == ["reports"]
    assert Preference.objects.get().source == "one-click"


def test_one_click_takes_a_form_in_parts_too(client: Client) -> None:
    body = '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'

    answer = client.post(path("unsubscribe"), body, content_type="multipart/form-data; boundary=b")

    assert (answer.status_code, wanted()) == (200, ["reports"])


def test_one_click_twice_is_as_good_as_once(client: Client) -> None:
    for _ in range(2):
        assert client.post(path("unsubscribe"), CLICK).status_code == 200

    assert Preference.objects.count() == 1


@pytest.mark.parametrize("method", ["get", "head"])
def test_scanners_that_follow_links_unsubscribe_nobody(client: Client, method: str) -> None:
    assert getattr(client, method)(path("unsubscribe")).status_code == 200
    assert getattr(client, method)(path("preferences")).status_code == 200

    assert not Preference.objects.exists()


@pytest.mark.parametrize("body", [{}, {"List-Unsubscribe": "no"}, {"something": "else"}])
def test_a_post_that_says_something_else_changes_nothing(client: Client, body: dict[str, str]) -> None:
    for page in ("unsubscribe", "preferences"):
        assert client.post(path(page), body).status_code == 400

    assert not Preference.objects.exists()


def test_a_form_that_is_much_too_long_is_refused_unread(client: Client) -> None:
    answer = client.post(path("unsubscribe"), {**CLICK, "more": "x" * 30_000})

    assert (answer.status_code, Preference.objects.count()) == (400, 0)


@pytest.mark.parametrize("page", ["unsubscribe", "preferences"])
def test_a_forged_link_says_so_kindly_and_tells_nothing(client: Client, page: str) -> None:
    letter()
    altered = path(page)[:-2] + "AA"
    unknown = f"/notifications/{page}/{'A' * 60}"

    answers = [client.get(altered), client.get(unknown), client.post(altered, CLICK)]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert "This link does not work" in answers[0].content.decode()
    assert not Preference.objects.exists()


def test_anothers_link_changes_only_that_ones_choices(client: Client) -> None:
    client.post(path("unsubscribe", BEN), {**CLICK, "address": ANN, "category": "reports"})

    assert (wanted(ANN), wanted(BEN)) == (["reports", "news"], ["reports"])


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    assert getattr(client, method)(path("unsubscribe")).status_code == 405


def test_unsubscribing_is_undone_on_the_same_page(client: Client) -> None:
    assert "Subscribe again" in client.post(path("unsubscribe"), CLICK).content.decode()

    answer = client.post(path("unsubscribe"), {"undo": "yes"})

    assert "You are subscribed again" in answer.content.decode()
    assert wanted() == ["reports", "news"]


def test_what_is_required_cannot_be_unsubscribed_from(client: Client, mail_server: MailServer) -> None:
    answer = client.post(path("unsubscribe", category="account"), CLICK)

    assert "is always sent" in answer.content.decode()
    sent(mail_server, category="account")


def test_a_link_of_a_category_that_is_gone_still_works(client: Client) -> None:
    assert client.get(path("unsubscribe", category="offers")).status_code == 200

    assert "You are unsubscribed" in client.post(path("unsubscribe", category="offers"), CLICK).content.decode()
    assert Preference.objects.get().category == "offers"


# --- All choices


def test_the_page_shows_each_choice_and_what_is_always_sent(client: Client) -> None:
    choices.choose(ANN, {"news": False}, source="page")

    page = client.get(path("preferences")).content.decode()

    assert re.findall(r'value="(\w+)"( checked)?>', page)[:2] == [("reports", " checked"), ("news", "")]
    assert "Your account" in page
    assert "a…n@example.org" in page
    assert ANN not in page


def test_choices_are_saved_confirmed_and_undone(client: Client) -> None:
    answer = client.post(path("preferences"), {"save": "yes", "wanted": ["news"]})

    page = answer.content.decode()
    assert "Saved." in page
    assert "You get: News." in page
    assert wanted() == ["news"]
    undo = {"save": "undo", "wanted": re.findall(r'type="hidden" name="wanted" value="(\w+)"', page)}
    client.post(path("preferences"), undo)
    assert wanted() == ["reports", "news"]


def test_none_of_these_wins_over_what_is_checked(client: Client) -> None:
    client.post(path("preferences"), {"none": "yes", "wanted": ["news", "reports"]})

    assert wanted() == []


@pytest.mark.parametrize("names", [["account"], ["nonsense"], ["news\r\nBcc: x"], ["\0"]])
def test_a_choice_that_there_is_not_is_not_stored(client: Client, names: list[str]) -> None:
    assert client.post(path("preferences"), {"save": "yes", "wanted": names}).status_code == 200

    assert set(Preference.objects.values_list("category", flat=True)) == {"news", "reports"}


def test_pages_are_kept_and_framed_nowhere(client: Client) -> None:
    answer = client.get(path("preferences"))

    assert "no-store" in answer["Cache-Control"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert (answer["X-Robots-Tag"], answer["Referrer-Policy"]) == ("noindex, nofollow", "no-referrer")


# --- In the message


def test_the_message_has_the_headers_of_one_click_and_they_work(client: Client, mail_server: MailServer) -> None:
    sent(mail_server)

    message = mail_server.deliveries[0].message
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    (url,) = re.findall(r"^<(http://localhost:\d+/\S+)>$", message["List-Unsubscribe"].strip())
    wire = message.as_bytes(policy=policy.SMTP.clone(refold_source="none"))
    assert f"<{url}>".encode() in wire, "as it is: receivers look for it without decoding anything"
    name, value = message["List-Unsubscribe-Post"].split("=")
    client.post(urlsplit(url).path, {name: value})
    assert wanted() == ["reports"]


def test_what_is_required_has_no_such_headers_and_no_footer(mail_server: MailServer) -> None:
    sent(mail_server, category="account")

    message = mail_server.deliveries[0].message
    assert "List-Unsubscribe" not in message
    assert message.get_content().strip() == "It is due."


def test_the_longest_address_makes_headers_that_arrive_whole(client: Client, mail_server: MailServer) -> None:
    long = f"{'a' * 64}@{'.'.join(['b' * 60] * 3)}.org"
    sent(mail_server, long)

    url = mail_server.deliveries[0].message["List-Unsubscribe"].strip(" <>")
    assert links.read(url.rpartition("/")[2]).address_key == long


def test_a_line_break_in_address_or_category_adds_no_header(mail_server: MailServer) -> None:
    evil = "ann@example.org>\r\nBcc: <all@example.org"

    delivery = letter()
    delivery.address_key = evil
    from notifications import consent

    assert not any(letter in value for value in consent.headers(delivery).values() for letter in "\r\n ")
    assert links.read(Reader("email", evil, evil).token) == Reader("email", evil, evil)


@pytest.mark.parametrize(
    ("given", "end"),
    [("<p>It is due.</p>", r"</p>\s*\Z"), ("<html><body><p>It is due.</p></body></html>", "</p>\\s*</body>")],
)
def test_a_footer_is_put_under_text_and_html(mail_server: MailServer, given: str, end: str) -> None:
    sent(mail_server, html=given)

    message: Any = mail_server.deliveries[0].message
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "part of “News”" in text
    assert links.read(re.findall(r"Unsubscribe: \S+/unsubscribe/(\S+)", text)[0]).category == "news"
    assert re.search(rf'due.*<a href="\S+/unsubscribe/[\w-]+"[^>]*>Unsubscribe</a>.*{end}', html, re.DOTALL)


@pytest.mark.parametrize("name", ["unsubscribe_url", "preferences_url"])
def test_a_message_with_the_link_itself_gets_no_footer(mail_server: MailServer, name: str) -> None:
    sent(mail_server, is_merge=True, text=f"Enough? {{{{ {name} }}}}", html=f'<a href="{{{{ {name} }}}}">Enough?</a>')

    message: Any = mail_server.deliveries[0].message
    for kind in ("plain", "html"):
        content = message.get_body((kind,)).get_content()
        assert "part of “News”" not in content
        assert f"/{name.removesuffix('_url')}" in content


def test_a_message_is_the_same_when_it_is_sent_again() -> None:
    from notifications import content

    delivery = letter(html="<p>It is due.</p>")

    assert content.of(delivery).digest == content.of(Delivery.objects.get(pk=delivery.pk)).digest


# --- In the queue


def test_what_waits_when_its_recipient_unsubscribes_is_not_sent(client: Client, mail_server: MailServer) -> None:
    delivery = letter()

    client.post(path("unsubscribe"), CLICK)

    assert run(delivery)["reason"] == "unsubscribed"
    assert (state(delivery), mail_server.deliveries) == ("suppressed", [])
