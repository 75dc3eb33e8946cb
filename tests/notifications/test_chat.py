"""Chat as deliveries: composed by Apprise, carried by us, and what each answer makes of them."""

import json
import logging
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from notifications import finding, reproducing, services
from notifications.attempting import UNKNOWN
from notifications.categories import Category, WhenUnknown
from notifications.channels import webhook
from notifications.channels.chat import ChatChannel
from notifications.chat import targets
from notifications.chat.tables import ChatTarget
from notifications.consent.tables import Suppression
from notifications.delivering import Refused, deliver
from notifications.pacing.tables import Gate
from notifications.problems import InvalidNotification
from notifications.tables import Attempt, Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing import faults
from routing.errors import TransientError
from tests.free_ports import free_port
from tests.notifications.webhook_receiver import HANG, Receiver, answer, receiver

__all__ = ["receiver"]

pytestmark = pytest.mark.django_db
State, Outcome = Delivery.State, Attempt.Outcome
TOKEN = "3ccdd113474722377935511fc85d3dd4"  # noqa: S105  (of a room on loopback)
TAKEN = answer("200 OK", body="ok")
needs_apprise = pytest.mark.skipif(find_spec("apprise") is None, reason="the extra taskyard[chat] is not installed")


def room(receiver: Receiver) -> str:
    return f"mmost://127.0.0.1:{receiver.port}/{TOKEN}"


@pytest.fixture
def ops(receiver: Receiver) -> ChatTarget:
    """A room of a Mattermost, which is the receiver."""
    receiver.answers = [TAKEN]
    return targets.add("ops-chat", room(receiver), by="ada")


def tell(to: Any = "ops-chat", **changes: Any) -> Delivery:
    said = {"channel": "chat", "subject": "Disk full", "text": "On db-1: 98 %.", **changes}
    return services.notify(to, **said).deliveries.get()


def run(delivery: Delivery) -> dict[str, Any]:
    return deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)


def of(delivery: Delivery) -> Delivery:
    delivery.refresh_from_db()
    return delivery


@needs_apprise
def test_a_message_arrives_and_is_sent(ops: ChatTarget, receiver: Receiver) -> None:
    delivery = tell()

    assert run(delivery)["state"] == "sent"

    (request,) = receiver.requests
    assert request.line == f"POST /hooks/{TOKEN} HTTP/1.1"
    assert json.loads(request.body) == {"text": "Disk full\r\nOn db-1: 98 %.", "username": "Taskyard"}
    attempt = of(delivery).attempts.get()
    assert (delivery.answer, attempt.code, attempt.host) == ("200 ok", 200, f"127.0.0.1:{receiver.port}")


@needs_apprise
@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ("429 Too Many Requests", Outcome.TEMPORARY),
        ("500 Internal Server Error", Outcome.TEMPORARY),
        ("503 Service Unavailable", Outcome.TEMPORARY),
        ("400 Bad Request", Outcome.PERMANENT),
        ("403 Forbidden", Outcome.PERMANENT),
        ("410 Gone", Outcome.PERMANENT),
    ],
)
def test_an_answer_decides_whether_it_comes_again(
    given: str, outcome: str, ops: ChatTarget, receiver: Receiver
) -> None:
    receiver.answers = [answer(given, body="not today", Retry_After="70"), TAKEN]
    delivery = tell()

    with pytest.raises(TransientError if outcome == Outcome.TEMPORARY else Refused, match="not today") as refused:
        run(delivery)

    state = State.PENDING if outcome == Outcome.TEMPORARY else State.FAILED
    assert (of(delivery).state, delivery.attempts.get().outcome) == (state, outcome)
    assert delivery.attempts.get().code == int(given[:3])
    assert len(receiver.requests) == 1, "Apprise itself tries nothing again"
    assert Suppression.objects.exists() is given.startswith("410")
    if given[:3] in ("429", "503"):
        assert isinstance(refused.value, TransientError)
        assert refused.value.retry_after is not None
        assert refused.value.retry_after.total_seconds() == 70


@needs_apprise
def test_a_yes_that_apprise_takes_for_none_is_told(receiver: Receiver) -> None:
    receiver.answers = [answer("202 Accepted", body="perhaps")]
    targets.add("phone", f"gotify://127.0.0.1:{receiver.port}/abcdefghijklmno", by="ada")

    with pytest.raises(Refused, match=r"202 perhaps: Failed to send Gotify notification.*error=202"):
        run(tell("phone"))


@needs_apprise
def test_a_redirect_is_not_followed(ops: ChatTarget, receiver: Receiver) -> None:
    elsewhere = Receiver()
    receiver.answers = [answer("307 Temporary Redirect", Location=f"{elsewhere.url}&for={TOKEN}")]

    with pytest.raises(Refused, match=r"307 redirects to http://127\.0\.0\.1.*give the target the URL") as refused:
        run(tell())

    assert TOKEN not in str(refused.value)
    assert elsewhere.requests == []
    elsewhere.stop()


@needs_apprise
def test_one_that_is_not_there_has_got_nothing(receiver: Receiver) -> None:
    targets.add("gone", f"mmost://127.0.0.1:{free_port()}/{TOKEN}", by="ada")
    delivery = tell("gone")

    with pytest.raises(TransientError, match="cannot be reached or broke off"):
        run(delivery)

    assert (of(delivery).state, delivery.attempts.get().outcome) == (State.PENDING, Outcome.UNREACHABLE)


@needs_apprise
@pytest.mark.parametrize("when_unknown", list(WhenUnknown))
def test_a_death_in_the_window_is_repeated_or_asked_about(
    when_unknown: WhenUnknown, ops: ChatTarget, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    category = Category(name="account", required=True, when_unknown=when_unknown)
    monkeypatch.setattr("notifications.categories.get", lambda _: category)
    delivery = tell()

    def die(name: str) -> None:
        if name == "delivery.handed":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", die)
        with pytest.raises(KeyboardInterrupt):
            run(delivery)
    assert of(delivery).state == State.SENDING
    run(delivery)

    if when_unknown == WhenUnknown.ASK:
        assert (of(delivery).state, delivery.reason) == (State.SENDING, UNKNOWN)
    else:
        assert of(delivery).state == State.SENT
        assert receiver.requests[-1].body == receiver.requests[0].body


@needs_apprise
def test_who_hangs_may_get_it_twice(ops: ChatTarget, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChatChannel, "seconds", 0.4)
    receiver.answers = [HANG, TAKEN]
    delivery = tell()

    with pytest.raises(TransientError, match="it took too long"):
        run(delivery)
    assert delivery.attempts.get().outcome == Outcome.UNKNOWN
    run(delivery)

    assert (of(delivery).state, len(receiver.requests)) == (State.SENT, 2)


@needs_apprise
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_private_network_is_closed_also_after_dns(host: str, receiver: Receiver, settings: Settings) -> None:
    targets.add("ops-chat", f"mmosts://{host}:{receiver.port}/{TOKEN}", by="ada")
    settings.NOTIFICATIONS_WEBHOOK_NETWORKS = []
    delivery = tell()

    with pytest.raises(Refused, match="name its network in NOTIFICATIONS_WEBHOOK_NETWORKS"):
        run(delivery)

    assert (of(delivery).state, receiver.requests, receiver.broken) == (State.FAILED, [], [])


@needs_apprise
def test_proxies_of_the_environment_are_not_heeded(
    ops: ChatTarget, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert run(tell())["state"] == "sent"


@needs_apprise
def test_a_host_that_is_down_is_left_alone(ops: ChatTarget, receiver: Receiver) -> None:
    receiver.answers = [answer("503 Service Unavailable", Retry_After="30")]
    for _ in range(5):
        with pytest.raises(TransientError):
            run(tell())

    with pytest.raises(TransientError, match=rf"chat:127\.0\.0\.1:{receiver.port} is down"):
        run(tell())

    assert Gate.objects.filter(opened_at__isnull=False).count() == 1
    assert len(receiver.requests) == 5


@needs_apprise
def test_what_is_secret_is_told_nowhere(
    ops: ChatTarget, receiver: Receiver, caplog: pytest.LogCaptureFixture, admin_client: Client
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers = [answer("404 Not Found", body=f"no hook {TOKEN} at /hooks/{TOKEN} {'.' * 230} {TOKEN}")]
    delivery = tell()

    with pytest.raises(Refused, match="404 no hook •••••• at /hooks/••••••"):
        run(delivery)

    page = admin_client.get(f"/admin/notifications/delivery/{delivery.pk}/change/").content.decode()
    rows = [*Delivery.objects.values(), *Attempt.objects.values(), *ChatTarget.objects.values()]
    assert "••••••" in page
    for place in (page, str(rows), caplog.text):
        assert TOKEN[:6] not in place


def test_without_apprise_it_waits_and_the_cure_is_told(
    ops: ChatTarget, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    delivery = tell()

    with pytest.raises(TransientError, match=r"not installed\. Install it where workers run.*taskyard\[chat\]"):
        run(delivery)
    call_command("chat", "add", "other", room(receiver))

    assert (of(delivery).state, receiver.requests) == (State.PENDING, [])
    assert "The package apprise is not installed here." in capsys.readouterr().err


def test_nothing_of_apprise_is_loaded_until_it_is_needed() -> None:
    script = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'project.settings'; import django; django.setup(); "
        "import notifications.tasks; from notifications import channels; channels.get('chat'); print(*sys.modules)"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    names = loaded.stdout.split()
    assert "notifications.channels.chat" in names
    costly = ("apprise", "requests", "notifications.chat.carrying", "notifications.chat.composing")
    assert not [name for name in names if name in costly]


@needs_apprise
def test_a_url_of_another_key_waits_for_it(ops: ChatTarget, receiver: Receiver, settings: Settings) -> None:
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-key-" * 5
    delivery = tell()
    with pytest.raises(
        TransientError, match=r"SECRET_KEY_FALLBACKS, or give the URL anew: manage\.py chat move ops-chat"
    ):
        run(delivery)
    assert of(delivery).state == State.PENDING

    settings.SECRET_KEY_FALLBACKS = [old]
    call_command("reseal")
    settings.SECRET_KEY_FALLBACKS = []

    assert run(delivery)["state"] == "sent"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to": "nobody"}, r"to\.0 cannot be written to: 'nobody' is no chat target; there are ops-chat"),
        ({"subject": "x" * 251}, "subject has to be one line of up to 250 characters"),
        ({"text": ""}, "text"),
        ({"text": "x" * 35_001}, "give a link to what is long"),
        ({"reply_to": ["ann@example.org"]}, "reply_to is nothing that a chat message has"),
        ({"attachments": [("a.txt", b"a", "text/plain")]}, "attachments cannot go by chat; .* give a link instead"),
    ],
)
def test_what_no_chat_can_say_is_refused_at_the_call(changes: dict[str, Any], said: str, ops: ChatTarget) -> None:
    with pytest.raises(InvalidNotification, match=said):
        tell(**changes)

    assert not Notification.objects.exists()


def test_a_url_in_place_of_a_target_is_not_quoted(ops: ChatTarget) -> None:
    with pytest.raises(InvalidNotification, match=r"to\.0 cannot be written to: a URL is no recipient") as error:
        tell(f"slack://{TOKEN}/room")

    assert TOKEN[:6] not in str(error.value)


@needs_apprise
def test_its_page_shows_the_message_and_each_thing_at_hand_finds_it(
    ops: ChatTarget, receiver: Receiver, admin_client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    row = tell(key="disk:db-1")
    run(row)

    page = admin_client.get(f"/admin/notifications/delivery/{row.pk}/change/").content.decode()
    source = admin_client.get(f"/admin/notifications/delivery/{row.pk}/source/")
    call_command("deliveries", "show", "ops-chat")

    assert f"mmost://127.0.0.1:{receiver.port}/••••••" in page
    assert "On db-1: 98 %." in page
    assert source.content.decode() == "Disk full\n\nOn db-1: 98 %."
    assert "On db-1: 98 %." in capsys.readouterr().out
    assert reproducing.reproduce(row).content is not None
    for term in ("ops-chat", " OPS-CHAT ", row.message_id, "disk:db-1"):
        assert list(Delivery.objects.filter(finding.deliveries(term).where)) == [row], term


@needs_apprise
def test_a_secret_of_its_template_arrives_and_is_kept_nowhere(ops: ChatTarget, receiver: Receiver) -> None:
    receiver.answers = [answer("200 OK", body="took code 471147")]
    variables = [{"name": "code", "required": True, "secret": True, "sample": "1", "description": ""}]
    template = Template.objects.create(name="code-made")
    TemplateVersion.objects.create(template=template, number=1, subject="Code", text="{{ code }}", variables=variables)

    run(tell(template="code-made", subject="", text="", context={"code": "471147"}))

    assert json.loads(receiver.requests[0].body)["text"] == "Code\r\n471147"
    kept = [*Delivery.objects.values(), *Notification.objects.values(), *Attempt.objects.values()]
    assert "471147" not in str(kept)


def test_a_target_that_was_taken_out_by_hand_is_told(ops: ChatTarget) -> None:
    delivery = tell()
    ChatTarget.objects.all().delete()

    with pytest.raises(Refused, match="'ops-chat' is no chat target; there is none yet"):
        run(delivery)

    assert of(delivery).attempts.get().host == webhook.NOWHERE
