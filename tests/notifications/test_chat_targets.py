"""Chat targets and their URLs, by code, by command and in the admin."""

import io
import json
from ipaddress import ip_network
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils.module_loading import autodiscover_modules
from django.views.debug import SafeExceptionReporterFilter
from pytest_django import Settings

from notifications import services
from notifications.chat import schemes, seals, targets
from notifications.chat.tables import ChatTarget
from notifications.delivering import deliver
from notifications.problems import InvalidNotification
from notifications.tables import Delivery
from routing import resealing, sealing
from tests.notifications.shown_forms import shown_by

pytestmark = pytest.mark.django_db
URL = "mmosts://ann@chat.example.org/3ccdd113474722377935511fc85d3dd4"
OTHER = "tgram://123456789:abcdefghijklmnopqrstuvwxyz/987654321/"
SHOWN = "mmosts://chat.example.org:443/••••••"
LIST = "/admin/notifications/chattarget/"


@pytest.fixture
def ops() -> ChatTarget:
    return targets.add("ops-chat", URL, by="ada")


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def command(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    call_command("chat", *words)
    return capsys.readouterr().out


def act(client: Client, action: str, row: ChatTarget, **words: str) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": [row.pk], **words}, follow=True)


def suppressed() -> bool:
    """Whether a message for it is held back."""
    delivery = services.notify("ops-chat", channel="chat", text="Hi").deliveries.get()
    return str(deliver(str(delivery.notification_id), 0, task_id=delivery.task_id)["state"]) == "suppressed"


def test_a_url_is_kept_sealed(ops: ChatTarget) -> None:
    stored = ChatTarget.objects.values().get()

    assert "3ccdd113" not in str(stored)
    assert (stored["scheme"], stored["host"]) == ("mmosts", "chat.example.org:443")
    assert seals.url_of(ops) == URL


def test_of_two_who_give_another_url_at_once_the_second_is_told(ops: ChatTarget) -> None:
    also_seen = ChatTarget.objects.get()

    assert targets.move(ops, OTHER)
    assert not targets.move(also_seen, URL)

    assert seals.url_of(ChatTarget.objects.get()) == OTHER


def test_a_change_of_the_secret_key_reaches_it(ops: ChatTarget, settings: Settings) -> None:
    autodiscover_modules("sealed_rows")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key-" * 5, [settings.SECRET_KEY]

    assert resealing.reseal().rows["targets"] == 1
    assert resealing.reseal().rows["targets"] == 0, "safe to call again"

    settings.SECRET_KEY_FALLBACKS = []
    assert seals.url_of(ChatTarget.objects.get()) == URL
    assert sealing.is_of_todays_key(ChatTarget.objects.get().url, purpose=seals.PURPOSE)


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("", URL, "name has to begin with a small letter"),
        ("Ops Chat", URL, "name has to begin"),
        ("ops-chat", URL, "name ops-chat is there already"),
        ("new", "", "url has to be an Apprise URL"),
        ("new", "slack://a b/c/d", "without blanks"),
        ("new", "slack://a\x00b/c/d", "without blanks"),
        ("new", f"slack://{'a' * 2000}", "up to 2000 characters"),
        ("new", "chat.example.org/hook", "begin with one of bark://, barks://"),
        ("new", "slack://", "nothing after slack://; see Apprise's page on Slack"),
        ("new", "mailto://ann:password@example.org", "begin with one of"),
        ("new", "twilio://sid:token@15550000000/15551111111", "begin with one of"),
        ("new", "json://example.org/hook", "begin with one of"),
        ("new", "syslog://", "begin with one of"),
        ("new", "windows://", "begin with one of"),
        ("new", "slack://a/b/c?template=/etc/passwd", "would read a file of the worker"),
        ("new", "slack://a/b/c?Templ%61te=/etc/passwd", "would read a file of the worker"),
        ("new", "mmosts://chat.example.org/token?verify=no", "certificates are always checked"),
        ("new", "mmost://chat.example.org/token", "is not encrypted; use mmosts://"),
        ("new", "mmosts://chat.example.org:99999/token", "host or port that cannot be read"),
        ("new", "rockets://AbCdEf12/GhIjKl34@chat.example.org/%23ops", "has a / before its @; write that one as %2F"),
        ("new", "ntfys://ann:12/34@ntfy.example.org/topic", "has a / before its @; write that one as %2F"),
        ("new", "mmosts://10.0.0.1/token", "10.0.0.1:443 is at 10.0.0.1, which is no public address"),
        ("new", "gotifys://[::1]/token", "which is no public address"),
        ("new", "mmosts://exa_mple..org/token", "is no host"),
    ],
)
def test_a_wrong_target_is_refused_with_the_cure(
    name: str, url: str, said: str, ops: ChatTarget, settings: Settings
) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = []

    with pytest.raises(InvalidNotification) as error:
        targets.add(name, url, by="ada")

    assert said in str(error.value)
    assert "password@" not in str(error.value)
    assert ChatTarget.objects.count() == 1


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "slack://••••••"),
        ("tgram://123456789:abcdefg/987654321", "tgram://••••••"),
        ("ntfys://our-topic", "ntfys://••••••"),
        ("ntfys://ntfy.example.org/our-topic", "ntfys://ntfy.example.org:443/••••••"),
        ("ntfy://our-topic/other?mode=cloud", "ntfy://••••••"),
        ("gotify://10.1.2.3:8080/token", "gotify://10.1.2.3:8080/••••••"),
        ("rockets://token%2Ftoken@chat.example.org", "rockets://chat.example.org:443/••••••"),
        ("rockets://token%2Ftoken@chat.example.org/@ann", "rockets://chat.example.org:443/••••••"),
        ("mmosts://chat.example.org/token/@ann", "mmosts://chat.example.org:443/••••••"),
        ("MMOSTS://[2606:4700::1111]/token", "mmosts://[2606:4700::1111]:443/••••••"),
    ],
)
def test_of_a_url_only_a_host_that_is_no_secret_is_shown(url: str, shown: str, settings: Settings) -> None:
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = [ip_network("10.0.0.0/8")]

    written = schemes.read(url)

    assert schemes.shown(written.scheme, written.host) == shown


@pytest.mark.any_database
def test_all_parts_by_which_somebody_could_write_there_are_secret() -> None:
    slack = schemes.secrets("slack://bot-name@T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazk?footer=no&image=yes")
    own = schemes.secrets("mmosts://ann:p%40ss@chat.example.org/hooks%2Fsecret")

    assert {"bot-name", "T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazk"} <= set(slack)
    assert {"no", "yes"}.isdisjoint(slack)
    assert {"p@ss", "p%40ss", "hooks/secret"} <= set(own)
    assert "chat.example.org" not in own


def test_the_command_makes_lists_and_moves(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "There are no chat targets yet" in command("list", capsys=capsys)
    made = json.loads(command("add", "ops-chat", URL, "--json", capsys=capsys))
    assert made == {"name": "ops-chat", "goes_to": SHOWN}
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{OTHER}\n"))
    moved = command("move", "Ops-Chat", capsys=capsys)
    assert "ops-chat goes to tgram://•••••• from now on, what waits for it, too." in moved

    (listed,) = json.loads(command("list", "--json", capsys=capsys))
    assert (listed["name"], listed["goes_to"], listed["on"]) == ("ops-chat", "tgram://••••••", True)
    assert "tgram://••••••" in command("list", capsys=capsys)
    assert seals.url_of(ChatTarget.objects.get()) == OTHER


def test_the_command_switches_off_and_on_and_tries(ops: ChatTarget, capsys: pytest.CaptureFixture[str]) -> None:
    assert "ops-chat is off" in command("off", "ops-chat", "--because", "at night", capsys=capsys)
    assert "It was off already." in command("off", "ops-chat", capsys=capsys)
    assert "off: at night" in command("list", capsys=capsys)
    with pytest.raises(CommandError, match=r"ops-chat is off\. Switch it on first: manage\.py chat on ops-chat"):
        call_command("chat", "test", "ops-chat")
    assert suppressed()
    assert "deliveries resend ops-chat --state suppressed" in command("on", "ops-chat", capsys=capsys)
    assert "It was on already." in command("on", "ops-chat", capsys=capsys)
    number = json.loads(command("test", "ops-chat", "--json", capsys=capsys))["delivery"]
    assert Delivery.objects.get(pk=number).notification.subject == targets.TEST


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("move", "nobody", URL), "There is no chat target 'nobody'; there are none yet."),
        (("add", "ops-chat", "nowhere"), "url has to begin with one of"),
        (("add", "Ops Chat"), "name has to begin with a small letter"),
    ],
)
def test_a_command_that_cannot_be_followed_tells_the_cure(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("chat", *words)

    assert said in str(error.value)


def test_one_is_added_in_the_admin_and_its_url_is_not_shown(ada: Client) -> None:
    ada.post(f"{LIST}add/", {"name": "ops-chat", "new_url": URL})

    row = ChatTarget.objects.get()
    assert (row.name, seals.url_of(row), row.created_by) == ("ops-chat", URL, "ada")
    for address in (LIST, f"{LIST}{row.pk}/change/"):
        page = ada.get(address).content.decode()
        assert SHOWN in page
        assert "3ccdd113" not in page


def test_a_wrong_form_says_why_and_sends_no_url_back(ada: Client) -> None:
    page = ada.post(f"{LIST}add/", {"name": "Ops Chat", "new_url": "mailto://ann:password@example.org"})

    said = page.content.decode()
    assert "has to begin with a small letter" in said
    assert "has to begin with one of" in said
    assert "ann:password" not in said
    assert not ChatTarget.objects.exists()


def test_another_url_is_given_in_the_admin_and_an_empty_field_keeps_it(ops: ChatTarget, ada: Client) -> None:
    address = f"{LIST}{ops.pk}/change/"
    form = shown_by(ada, address)
    ada.post(address, {**form, "new_url": "", "name": "other", "seen": "long ago"})
    assert (ChatTarget.objects.get().name, seals.url_of(ChatTarget.objects.get())) == ("ops-chat", URL)

    ada.post(address, {**form, "new_url": OTHER})

    assert seals.url_of(ChatTarget.objects.get()) == OTHER
    assert "abcdefghij" not in str(LogEntry.objects.values())
    assert "seen" not in str(LogEntry.objects.values()).lower()


def test_whoever_comes_second_with_another_url_is_told_and_changes_nothing(ops: ChatTarget, ada: Client) -> None:
    address = f"{LIST}{ops.pk}/change/"
    form = shown_by(ada, address)
    targets.move(ops, OTHER)

    said = ada.post(address, {**form, "new_url": URL}).content.decode()

    assert "Somebody else has changed its URL meanwhile; look again." in said
    assert seals.url_of(ChatTarget.objects.get()) == OTHER
    assert not LogEntry.objects.exists()
    ada.post(address, {**shown_by(ada, address), "new_url": URL})
    assert seals.url_of(ChatTarget.objects.get()) == URL


def test_whoever_is_overtaken_after_the_form_was_checked_changes_nothing_and_the_log_says_nothing(
    ops: ChatTarget, ada: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody whose change is committed: the conditional update finds another row than was shown."""
    address = f"{LIST}{ops.pk}/change/"
    monkeypatch.setattr(targets, "move", lambda *_: False)

    answer = ada.post(address, {**shown_by(ada, address), "new_url": OTHER}, follow=True)

    assert answer.redirect_chain == [(address, 302)]
    assert [str(told) for told in answer.context["messages"]] == [
        "Somebody else has changed its URL meanwhile; look again."
    ]
    assert seals.url_of(ChatTarget.objects.get()) == URL
    assert not LogEntry.objects.exists()


def test_it_is_switched_off_and_on_for_a_reason(ops: ChatTarget, ada: Client) -> None:
    act(ada, "off_selected", ops, confirmed="yes")
    assert targets.off([ops]) == {}, "no reason was given"
    act(ada, "off_selected", ops, confirmed="yes", because="It is night.")
    assert targets.off([ops])["ops-chat"].detail == "It is night."
    assert "off: by hand" in ada.get(LIST).content.decode()
    act(ada, "on_selected", ops, confirmed="yes", because="Morning.")

    assert targets.off([ops]) == {}
    assert LogEntry.objects.count() == 2


def test_a_test_leads_to_its_delivery(ops: ChatTarget, ada: Client) -> None:
    answer = act(ada, "test_selected", ops)

    delivery = Delivery.objects.get()
    assert answer.redirect_chain == [(f"/admin/notifications/delivery/{delivery.pk}/change/", 302)]
    assert (delivery.channel, delivery.notification.created_by) == ("chat", "ada")


def test_who_may_look_may_change_nothing(ops: ChatTarget, client: Client) -> None:
    user = User.objects.create(username="viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_endpoint"))
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_chattarget"))

    assert "Send a test" not in client.get(LIST).content.decode()
    assert client.get(f"{LIST}{ops.pk}/change/").status_code == 200
    act(client, "off_selected", ops, confirmed="yes", because="I may not.")
    client.post(f"{LIST}{ops.pk}/change/", {"new_url": OTHER})

    assert targets.off([ops]) == {}
    assert seals.url_of(ChatTarget.objects.get()) == URL


def test_who_may_add_only_gives_the_url_with_it(client: Client) -> None:
    user = User.objects.create(username="adder", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_chattarget"))
    client.force_login(user)

    assert 'name="new_url"' in client.get(f"{LIST}add/").content.decode()
    client.post(f"{LIST}add/", {"name": "ops-chat", "new_url": URL})

    row = ChatTarget.objects.get()
    assert (seals.url_of(row), row.created_by) == (URL, "adder")
    assert client.post(f"{LIST}{row.pk}/change/", {"new_url": OTHER}).status_code == 403


def test_a_report_of_a_failed_request_does_not_quote_the_url(ops: ChatTarget, ada: Client) -> None:
    for address in (f"{LIST}add/", f"{LIST}{ops.pk}/change/"):
        request = ada.post(address, {"name": "new", "new_url": URL}).wsgi_request

        assert URL not in str(SafeExceptionReporterFilter().get_post_parameters(request))
