"""Endpoints and their secrets, by code, by command and in the admin."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from notifications import services
from notifications.delivering import deliver
from notifications.problems import InvalidNotification
from notifications.tables import Delivery
from notifications.webhooks import endpoints
from notifications.webhooks.tables import Endpoint
from routing.errors import TransientError
from tests.notifications.shown_forms import shown_by
from tests.notifications.webhook_receiver import Receiver, receiver

__all__ = ["receiver"]

pytestmark = pytest.mark.django_db
URL = "https://example.org/hook"
LIST = "/admin/notifications/endpoint/"


def shop(url: str = URL) -> tuple[Endpoint, str]:
    return endpoints.add("shop", url, by="ada")


def told() -> Delivery:
    """What came of an event for it."""
    delivery = services.notify("shop", channel="webhook", subject="order.shipped").deliveries.get()
    deliver(str(delivery.notification_id), 0, task_id=delivery.task_id)
    delivery.refresh_from_db()
    return delivery


def command(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    call_command("webhooks", *words)
    return capsys.readouterr().out


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def act(client: Client, action: str, *rows: Endpoint, **words: str) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": [row.pk for row in rows], **words}, follow=True)


def test_a_secret_is_shown_once_and_kept_sealed() -> None:
    _, secret = shop()

    assert secret.startswith("whsec_")
    assert len(secret) > 40
    stored = Endpoint.objects.values().get()
    assert secret not in str(stored)
    assert secret.removeprefix("whsec_") not in str(stored)
    assert endpoints.add("crm", URL, by="ada")[1] != secret


def test_both_secrets_sign_until_the_overlap_is_over(receiver: Receiver) -> None:
    row, old = shop(receiver.url)
    new = endpoints.rotate(row, overlap=timedelta(hours=2))
    assert new is not None

    told()
    Endpoint.objects.update(previous_until=timezone.now() - timedelta(seconds=1))
    told()

    during, after = receiver.requests
    assert [during.is_signed_with(secret) for secret in (new, old)] == [True, True]
    assert [after.is_signed_with(secret) for secret in (new, old)] == [True, False]
    assert len(after.headers["webhook-signature"].split(" ")) == 1


def test_of_two_who_rotate_at_once_the_second_is_told() -> None:
    seen, also_seen = shop()[0], Endpoint.objects.get()

    assert endpoints.rotate(seen) is not None
    before = Endpoint.objects.values().get()
    assert endpoints.rotate(also_seen) is None

    assert Endpoint.objects.values().get() == before


def test_without_an_overlap_the_old_secret_is_gone(receiver: Receiver) -> None:
    row, old = shop(receiver.url)
    endpoints.rotate(row, overlap=timedelta())

    told()

    assert not receiver.requests[0].is_signed_with(old)
    assert Endpoint.objects.get().previous_secret == ""


def test_secrets_outlive_a_change_of_the_secret_key(settings: Settings, receiver: Receiver) -> None:
    row, secret = shop(receiver.url)
    endpoints.rotate(row)
    old_key = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key-" * 5, [old_key]

    assert told().state == Delivery.State.SENT
    assert endpoints.reseal_all() == (1, [])
    assert endpoints.reseal_all() == (0, []), "safe to call again"
    settings.SECRET_KEY_FALLBACKS = []

    assert told().state == Delivery.State.SENT
    assert receiver.requests[-1].is_signed_with(secret)


def test_a_secret_of_another_key_waits_for_it(settings: Settings, receiver: Receiver) -> None:
    shop(receiver.url)
    settings.SECRET_KEY = "another-key-" * 5

    with pytest.raises(TransientError, match="Put that one into SECRET_KEY_FALLBACKS, or make a new secret"):
        told()

    assert endpoints.reseal_all() == (0, ["shop"])
    assert Delivery.objects.get().state == Delivery.State.PENDING
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("", URL, "name has to begin with a small letter"),
        ("Web Shop", URL, "name has to begin"),
        ("7up", URL, "name has to begin"),
        ("a" * 41, URL, "name has to begin"),
        ("shop", URL, "name shop is there already"),
        ("crm", "http://example.org/", "url The URL is not encrypted"),
        ("crm", "https://10.0.0.1/", "url 10.0.0.1:443 is at 10.0.0.1, which is no public address"),
    ],
)
def test_a_wrong_endpoint_is_refused_with_the_cure(name: str, url: str, said: str) -> None:
    shop()

    with pytest.raises(InvalidNotification) as error:
        endpoints.add(name, url, by="ada")

    assert said in str(error.value)
    assert Endpoint.objects.count() == 1


def test_the_command_makes_lists_moves_and_rotates(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There are no endpoints yet" in command("list", capsys=capsys)
    made = json.loads(command("add", "shop", URL, "--json", capsys=capsys))
    assert made["secret"].startswith("whsec_")
    assert "from now on" in command("move", "Shop", "https://example.org/other", capsys=capsys)
    new = command("rotate", "shop", "--overlap", "48", capsys=capsys)
    assert "shown now and never again" in new
    assert "For 48 hours from now the one of before signs as well." in new

    listed = json.loads(command("list", "--json", capsys=capsys))
    assert [(one["name"], one["url"], one["on"]) for one in listed] == [("shop", "https://example.org/other", True)]
    assert "whsec_" not in command("list", capsys=capsys)
    assert "0 sealed anew" in command("reseal", capsys=capsys)


def test_the_command_switches_off_and_on_and_tries(capsys: pytest.CaptureFixture[str]) -> None:
    shop()

    assert "shop is off" in command("off", "shop", "--because", "it floods us", capsys=capsys)
    assert "It was off already." in command("off", "shop", capsys=capsys)
    assert "off: it floods us" in command("list", capsys=capsys)
    with pytest.raises(CommandError, match=r"shop is off\. Switch it on first"):
        call_command("webhooks", "test", "shop")
    assert told().state == Delivery.State.SUPPRESSED
    assert "deliveries resend shop --state suppressed" in command("on", "shop", capsys=capsys)
    assert "It was on already." in command("on", "shop", capsys=capsys)
    number = json.loads(command("test", "shop", "--json", capsys=capsys))["delivery"]
    assert Delivery.objects.get(pk=number).notification.subject == endpoints.TEST


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("move", "nobody", URL), "There is no endpoint 'nobody'; there are none yet."),
        (("add", "shop", "nowhere"), "url The URL has to begin with https://"),
        (("rotate", "shop", "--overlap", "ages"), "'ages' is no number of hours from 0 to 720."),
    ],
)
def test_a_command_that_cannot_be_followed_tells_the_cure(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("webhooks", *words)

    assert said in str(error.value)


def test_one_is_added_in_the_admin_and_its_secret_is_shown_once(ada: Client) -> None:
    page = ada.post(f"{LIST}add/", {"name": "shop", "url": URL}).content.decode()

    row = Endpoint.objects.get()
    assert (row.name, row.url, row.created_by) == ("shop", URL, "ada")
    assert "whsec_" in page
    assert "not shown again" in page
    for address in (LIST, f"{LIST}{row.pk}/change/"):
        assert "whsec_" not in ada.get(address).content.decode()


def test_a_wrong_form_says_why(ada: Client) -> None:
    page = ada.post(f"{LIST}add/", {"name": "Web Shop", "url": "http://example.org/"}).content.decode()

    assert "has to begin with a small letter" in page
    assert "use https://" in page
    assert not Endpoint.objects.exists()


def test_it_is_sent_elsewhere_in_the_admin(ada: Client) -> None:
    row, _ = shop()
    address = f"{LIST}{row.pk}/change/"

    ada.post(address, {**shown_by(ada, address), "url": "https://example.org/other", "name": "other"})

    changed = Endpoint.objects.get()
    assert (changed.name, changed.url, changed.secret) == ("shop", "https://example.org/other", row.secret)


def test_whoever_comes_second_with_another_url_is_told_and_changes_nothing(ada: Client) -> None:
    row, _ = shop()
    address = f"{LIST}{row.pk}/change/"
    form = shown_by(ada, address)
    endpoints.move(row, "https://example.org/first")

    for url in ("https://example.org/second", row.url):
        said = ada.post(address, {**form, "url": url}).content.decode()

        assert "Somebody else has changed its URL meanwhile; look again." in said
        assert Endpoint.objects.get().url == "https://example.org/first"
    assert not LogEntry.objects.exists()


def test_whoever_is_overtaken_after_the_form_was_checked_changes_nothing_and_the_log_says_nothing(
    ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody whose change is committed: the conditional update finds another row than was shown."""
    row, _ = shop()
    address = f"{LIST}{row.pk}/change/"
    monkeypatch.setattr(endpoints, "move", lambda *_: False)

    answer = ada.post(address, {**shown_by(ada, address), "url": "https://example.org/second"}, follow=True)

    assert answer.redirect_chain == [(address, 302)]
    assert [str(told) for told in answer.context["messages"]] == [
        "Somebody else has changed its URL meanwhile; look again."
    ]
    assert Endpoint.objects.get().url == row.url
    assert not LogEntry.objects.exists()


def test_a_new_secret_is_asked_for_first(ada: Client) -> None:
    row, secret = shop()

    asked = act(ada, "rotate_selected", row).content.decode()
    assert Endpoint.objects.get().secret == row.secret
    shown = act(ada, "rotate_selected", row, confirmed="yes").content.decode()

    assert "Make a new secret: shop?" in asked
    assert "whsec_" in shown
    assert secret not in shown
    assert Endpoint.objects.get().previous_secret == row.secret
    assert "A new secret was made." in str(LogEntry.objects.get())


def test_it_is_switched_off_and_on_for_a_reason(ada: Client) -> None:
    row, _ = shop()

    act(ada, "off_selected", row, confirmed="yes")
    assert endpoints.off([row]) == {}, "no reason was given"
    act(ada, "off_selected", row, confirmed="yes", because="It floods us.")
    assert endpoints.off([row])["shop"].detail == "It floods us."
    assert "off: by hand" in ada.get(LIST).content.decode()
    act(ada, "on_selected", row, confirmed="yes", because="They have mended it.")

    assert endpoints.off([row]) == {}
    assert LogEntry.objects.count() == 2


def test_a_test_leads_to_its_delivery(ada: Client) -> None:
    row, _ = shop()

    answer = act(ada, "test_selected", row)

    delivery = Delivery.objects.get()
    assert answer.redirect_chain == [(f"/admin/notifications/delivery/{delivery.pk}/change/", 302)]
    assert "A test is on its way" in answer.content.decode()
    assert (delivery.channel, delivery.notification.created_by) == ("webhook", "ada")


def test_who_may_look_may_change_nothing(client: Client) -> None:
    row, _ = shop()
    user = User.objects.create(username="viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_taskresult"))
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_endpoint"))

    assert "Send a test" not in client.get(LIST).content.decode()
    act(client, "off_selected", row, confirmed="yes", because="I may not.")
    client.post(f"{LIST}{row.pk}/change/", {"url": "https://example.org/mine"})

    assert endpoints.off([row]) == {}
    assert Endpoint.objects.get().url == URL
