"""What is wrong is told once by each channel, by whoever lives, and not through the pipeline."""

import json
import signal
import sys
import threading
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings

from routing import alarm, outward
from routing.console.alerting import letters, watch
from routing.console.alerting.away import Away
from routing.console.alerting.channels import Mail, Webhook
from routing.console.alerting.watch import Watch
from routing.domains import registry
from routing.ledger import alerts
from routing.ledger.alert_tables import Alert
from routing.ledger.alerts import CALM, HOLD, RETRY_AFTER, Cause, Telling, Timing
from tests.console import specimens
from tests.notifications.mail_server import MailServer, mail_server
from tests.receiver import Receiver, receiver
from tests.services import free_port
from tests.waiting import until
from tests.workers import Process

__all__ = ["mail_server", "receiver"]

database = pytest.mark.django_db(transaction=True)
TIMING = Timing(after=timedelta(minutes=2), window=timedelta(hours=1))
OPS = ["ops@example.org"]


def lasting(*causes: str, channel: str = "mail", **columns: Any) -> None:
    """Wrong for half an hour, and seen just now."""
    alerts.see(channel, {cause: f"{cause} does not work. Start it." for cause in causes})
    Alert.objects.filter(cause__in=causes).update(began_at=Now() - timedelta(minutes=30), **columns)


def look(*ways: Any) -> int:
    return Watch(who="relay@app-1", stop=threading.Event(), ways=ways or [Mail(OPS)]).run_once()


@database
def test_two_that_look_at_once_tell_it_once() -> None:
    lasting("relay", "beat")
    barrier, found = threading.Barrier(4), []

    def take() -> None:
        try:
            connection.ensure_connection()
            barrier.wait(10)
            found.append(alerts.take("mail", timing=TIMING))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 4
    taken = [cause.name for telling in found if telling for cause in telling.causes]
    assert sorted(taken) == ["beat", "relay"]


@database
def test_what_has_just_begun_is_not_told_yet() -> None:
    alerts.see("mail", {"relay": "No relay runs."})

    assert alerts.take("mail", timing=TIMING) is None


@database
def test_a_cause_is_told_once_in_its_window_and_then_again() -> None:
    lasting("relay")
    first = alerts.take("mail", timing=TIMING)
    assert first
    assert alerts.told(first)
    lasting("relay")
    assert alerts.take("mail", timing=TIMING) is None

    Alert.objects.update(told_at=Now() - TIMING.window)

    again = alerts.take("mail", timing=TIMING)
    assert again
    assert again.causes[0].number != first.causes[0].number


@database
def test_who_dies_while_it_tells_is_followed_by_another() -> None:
    lasting("relay")
    died = alerts.take("mail", timing=TIMING)
    assert died
    assert alerts.take("mail", timing=TIMING) is None, "it may be telling it just now"

    Alert.objects.update(held_until=Now() - timedelta(seconds=1), began_at=died.causes[0].began_at)
    second = alerts.take("mail", timing=TIMING)

    assert second
    assert second.causes[0].number == died.causes[0].number, "so that whoever hears both knows"
    assert not alerts.told(died), "it was only slow, and comes too late to write it down"
    assert alerts.told(second)


@database
def test_a_telling_that_fails_is_given_back_for_later() -> None:
    lasting("relay")
    telling = alerts.take("mail", timing=TIMING)
    assert telling
    alerts.failed(telling, "no room")
    assert alerts.take("mail", timing=TIMING) is None
    assert Alert.objects.get().error == "no room"

    Alert.objects.update(held_until=Now() - timedelta(seconds=1))

    assert alerts.take("mail", timing=TIMING)
    assert RETRY_AFTER < HOLD


@database
def test_the_end_is_told_once_of_what_was_told() -> None:
    lasting("relay", told_at=Now(), times_told=1)
    lasting("beat")
    assert alerts.take_ended("mail") is None, "both are seen"
    Alert.objects.update(seen_at=Now() - CALM)
    assert alerts.take_ended("mail", unknown=["relay"]) is None, "whoever cannot tell leaves it to others"

    ended = alerts.take_ended("mail")

    assert ended
    assert [cause.name for cause in ended.causes] == ["relay"]
    assert alerts.told(ended)
    assert alerts.take_ended("mail") is None
    assert [row.cause for row in Alert.objects.all()] == ["relay"], "nobody had heard of the other one"


@database
def test_what_comes_back_is_told_again_only_when_its_window_is_over() -> None:
    lasting("relay", told_at=Now(), times_told=1, over_at=Now())
    lasting("relay")
    assert Alert.objects.get().over_at is None
    assert alerts.take("mail", timing=TIMING) is None

    Alert.objects.update(told_at=Now() - TIMING.window)

    telling = alerts.take("mail", timing=TIMING)
    assert telling
    assert not telling.causes[0].told_before, "it began anew"


@database
def test_what_was_over_long_ago_is_forgotten() -> None:
    lasting("relay", told_at=Now(), over_at=Now() - alerts.KEPT)
    lasting("beat", told_at=Now(), over_at=Now())

    assert alerts.forget(timing=TIMING) == 1
    assert Alert.objects.get().cause == "beat"


@database
def test_a_mail_says_what_is_wrong_and_a_second_that_it_is_over(
    absent_broker: int,
    mail_server: MailServer,
) -> None:
    specimens.beat()
    assert look() == 0, "it may pass by itself"
    Alert.objects.update(began_at=Now() - timedelta(minutes=30))

    assert look() == 1
    assert look() == 0

    (mail,) = mail_server.deliveries
    text = mail.message.get_content()
    assert mail.recipients == OPS
    assert mail.message["Subject"].startswith("Taskyard: 2 things are wrong")
    assert "RabbitMQ cannot be reached" in text
    assert "No relay" in text
    assert "for 30 min" in text
    assert "relay@app-1" in text
    assert "hush" not in text

    specimens.relay()
    Alert.objects.filter(cause="relay").update(seen_at=Now() - CALM)
    assert look() == 1
    assert mail_server.deliveries[1].message["Subject"].startswith("Taskyard: over: ")


@database
def test_a_server_that_refuses_holds_up_no_other_channel(
    absent_broker: int,
    mail_server: MailServer,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mail_server.to_message = "452 no room"
    ways = [Mail(OPS), Webhook(receiver.url)]
    look(*ways)
    Alert.objects.update(began_at=Now() - timedelta(minutes=30))

    assert look(*ways) == 1

    (document,) = receiver.documents
    assert document["kind"] == "wrong"
    assert {alert["cause"] for alert in document["alerts"]} == {"broker", "beat", "relay"}
    assert document["text"].startswith("Taskyard: 3 things are wrong")
    refused = Alert.objects.filter(channel="mail")
    assert {row.told_at for row in refused} == {None}
    assert all("no room" in row.error for row in refused)
    (told,) = [record for record in caplog.records if "could not be told by mail" in record.message]
    assert "452" in told.message
    assert not any(record.exc_info for record in caplog.records)

    mail_server.to_message = "250 taken"
    Alert.objects.update(held_until=None)
    assert look(*ways) == 1
    assert (len(mail_server.deliveries), len(receiver.documents)) == (1, 1)


@pytest.mark.pipeline
@database
def test_a_relay_that_dies_after_it_told_is_followed_by_one_mail_of_the_same_id(
    tmp_path: Path,
    mail_server: MailServer,
    absent_broker: int,
) -> None:
    """And a relay tells, where there is neither a broker nor a worker."""
    lasting("broker", "beat")
    relay = Process(
        [sys.executable, "manage.py", "relay"],
        tmp_path / "relay.log",
        fault="alert.sent",
        BROKER_URL=f"amqp://guest:guest@127.0.0.1:{absent_broker}//",
        EMAIL_URL=f"smtp://127.0.0.1:{mail_server.port}",
        TASKYARD_ALERTS_EMAIL=OPS[0],
    )
    try:
        assert relay.popen.wait(60) == -signal.SIGKILL
    finally:
        relay.kill()
    assert len(mail_server.deliveries) == 1
    assert look() == 0, "it may be telling it still"

    Alert.objects.update(held_until=Now() - timedelta(seconds=1))

    assert look() == 1
    first, second = (delivery.message["Message-ID"] for delivery in mail_server.deliveries)
    assert first == second


@database
def test_a_database_that_is_away_is_told_too(
    absent_broker: int,
    receiver: Receiver,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.TASKYARD_ALERTS_AFTER = timedelta()
    connections.close_all()
    for setting, value in {"PORT": str(free_port(below=45000)), "NAME": "/nowhere/taskyard"}.items():
        monkeypatch.setitem(connections.databases["default"], setting, value)
    one = Watch(who="beat@app-1", stop=threading.Event(), ways=[Webhook(receiver.url)])

    assert (one.run_once(), one.run_once()) == (1, 0)

    (document,) = receiver.documents
    assert [alert["cause"] for alert in document["alerts"]] == ["database"]


@pytest.mark.any_database
def test_without_rows_each_process_keeps_to_the_window_and_tells_the_end() -> None:
    now = [1000.0]
    away = Away(clock=lambda: now[0])

    def at(seconds: float, sentence: str) -> Telling | None:
        now[0] = 1000.0 + seconds
        telling = away.look("mail", sentence, timing=TIMING)
        if telling:
            away.told("mail", telling)
        return telling

    assert at(0, "It is away.") is None
    first = at(120, "It is away.")
    assert first
    assert first.causes[0].sentence == "It is away."
    assert at(200, "It is away.") is None
    again = at(120 + 3600, "It is away.")
    assert again
    assert again.causes[0].told_before
    assert at(3800, "") is None, "it may be a moment only"
    ended = at(3720 + CALM.total_seconds(), "")
    assert ended
    assert ended.ended
    assert at(5000, "") is None


@pytest.mark.any_database
def test_where_no_lane_has_a_worker_that_is_one_thing() -> None:
    lanes = [Cause(f"lane {name}", "No worker serves it.", timezone.now(), "1") for name in registry().pools]

    letter = letters.of(Telling("", tuple(lanes)), timing=TIMING, at=timezone.now(), by="relay@app-1")

    assert letter.subject == "Taskyard: No worker runs, so no task does"


@database
def test_the_command_tells_who_is_told_and_what_stands(
    settings: Settings,
    receiver: Receiver,
) -> None:
    assert "Nobody is told" in command()
    with pytest.raises(CommandError, match=r"TASKYARD_ALERTS_EMAIL=ops@example\.com"):
        command("test")
    settings.TASKYARD_ALERTS_WEBHOOK, settings.TASKYARD_ALERTS_EMAIL = receiver.url, OPS
    assert "Nothing is wrong" in command()
    lasting("relay", told_at=Now())

    said = command()

    assert "a-long-secret" not in said
    assert "by webhook to http://127.0.0.1" in said
    assert "relay does not work." in said
    document = json.loads(command("--json"))
    assert document["told"]["mail"] == "ops@example.org"
    assert [alert["cause"] for alert in document["alerts"]] == ["relay"]


def test_a_test_reaches_everybody_or_says_whom_not(
    settings: Settings,
    receiver: Receiver,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings.TASKYARD_ALERTS_WEBHOOK = receiver.url
    assert "Taken, by webhook" in command("test")
    assert receiver.documents[0]["kind"] == "test"

    receiver.status = 404
    with pytest.raises(SystemExit, match="1"):
        call_command("alerts", "test")

    assert "answered 404" in capsys.readouterr().err


def test_a_mistake_of_ours_keeps_its_traceback(
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.TASKYARD_ALERTS_EMAIL = OPS
    settings.DEFAULT_FROM_EMAIL = "ops@example.org\nBcc: everybody@example.org"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

    with pytest.raises(SystemExit, match="1"):
        call_command("alerts", "test")

    assert "Not taken, by mail to ops@example.org: " in capsys.readouterr().err
    (told,) = [record for record in caplog.records if record.exc_info]
    assert told.message == "Telling it by mail to ops@example.org failed, by a mistake on our side"


def test_what_is_no_json_is_a_mistake_of_ours_and_no_silence_of_the_other_side(receiver: Receiver) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        outward.post(receiver.url, {"at": timedelta(1)})
    endless: dict[str, object] = {}
    endless["itself"] = endless
    with pytest.raises(ValueError, match="Circular reference"):
        outward.post(receiver.url, endless)

    assert receiver.documents == []


@pytest.mark.any_database
def test_mail_that_nobody_would_read_is_warned_of(settings: Settings) -> None:
    settings.TASKYARD_ALERTS_EMAIL = OPS
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    assert [found.id for found in alarm.check_alerts()] == ["routing.W040"]

    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert alarm.check_alerts() == []


def test_watching_ends_when_it_is_told(receiver: Receiver) -> None:
    stop = threading.Event()
    stop.set()
    one = Watch(who="x", stop=stop, ways=[Webhook(receiver.url)])
    one.start()

    until(lambda: not one.is_alive(), seconds=watch.LOOK_EVERY, what="its end")


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("alerts", *arguments, stdout=output)
    return output.getvalue()
