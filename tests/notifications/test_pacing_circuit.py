"""Circuits: a host that is down is left alone and tried by one at a time; nothing is lost, and others go on."""

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.db import connection
from pytest_django import Settings

from notifications import pacing, services
from notifications.channels.email import EmailChannel
from notifications.delivering import Refused, deliver
from notifications.pacing import circuit, deciding, gate_rows, limits
from notifications.pacing.gate_rows import Seen
from notifications.pacing.tables import Gate, Line
from notifications.tables import Attempt, Delivery, Notification
from routing.errors import NotYet, TransientError
from routing.ledger.tables import Message, Outbox
from tests.free_ports import free_port
from tests.notifications.mail_server import MailServer, mail_server
from tests.notifications.provider import Provider, provider

__all__ = ["mail_server", "provider"]

pytestmark = pytest.mark.django_db
HOST, OTHER = "one.example.org:25", "two.example.org:25"
GATE = limits.host_gate("email", HOST)
ANN = "ann@example.org"


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    in_another_process()
    yield
    in_another_process()


def a_delivery(lane: str = "default") -> Delivery:
    return Delivery(notification=Notification(lane=lane), channel="email")


def fail(times: int, *, host: str = HOST) -> None:
    for _ in range(times):
        pacing.record(a_delivery(), host=host, error="Connection refused.")


def succeed(*, host: str = HOST) -> None:
    pacing.pass_through(a_delivery(), host=host)
    pacing.record(a_delivery(), host=host)


def gate(name: str = GATE) -> Gate:
    return Gate.objects.get(pk=name)


def let_it_be_tried() -> None:
    Gate.objects.update(probe_at=gate_rows.now() - 0.01)


def in_another_process() -> None:
    """What this one knows of hosts, it knows no more."""
    circuit._known.clear()
    circuit.begin()


def letter(to: str = ANN, **changes: Any) -> Delivery:
    return services.notify(to, subject="Your invoice", text="It is due.\n", **changes).deliveries.get()


def run(delivery: Delivery) -> dict[str, Any]:
    return deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)


def test_failures_in_a_row_open_the_circuit_of_this_host_only(caplog: pytest.LogCaptureFixture) -> None:
    fail(circuit.FAILURES - 1)
    pacing.pass_through(a_delivery(), host=HOST)
    fail(1)

    with pytest.raises(NotYet, match=r"^email:one\.example\.org:25 is down: Connection refused\. It is tried again at"):
        pacing.pass_through(a_delivery(), host=HOST)
    pacing.pass_through(a_delivery(), host=OTHER)
    assert "is left alone, for it has failed 5 times in a row: Connection refused." in caplog.text


def test_a_success_of_any_process_ends_the_row() -> None:
    fail(circuit.FAILURES - 1)
    in_another_process()
    succeed()
    in_another_process()
    fail(circuit.FAILURES - 1)

    pacing.pass_through(a_delivery(), host=HOST)

    assert gate().opened_at is None


def test_a_host_that_answers_most_of_the_time_is_not_taken_for_down() -> None:
    for _ in range(circuit.FAILURES * 2):
        succeed()
        fail(1)

    assert gate().opened_at is None


def test_one_only_tries_and_its_success_closes_the_circuit(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fail(circuit.FAILURES)
    let_it_be_tried()

    pacing.pass_through(a_delivery(), host=HOST)
    with pytest.raises(NotYet) as told:
        pacing.pass_through(a_delivery(), host=HOST)
    # The other one was asked in this same process; the one that tries goes on.
    circuit._mine.probe = Seen(GATE, is_open=True)
    pacing.record(a_delivery(), host=HOST)

    assert told.value.after <= timedelta(seconds=circuit.WHILE_PROBING + 1)
    assert (gate().opened_at, gate().failures, gate().is_probing) == (None, 0, False)
    assert "answers again" in caplog.text
    in_another_process()
    pacing.pass_through(a_delivery(), host=HOST)


def test_a_try_in_vain_doubles_the_pause_up_to_the_longest() -> None:
    fail(circuit.FAILURES)
    pauses = []

    for _ in range(7):
        let_it_be_tried()
        pacing.pass_through(a_delivery(), host=HOST)
        fail(1)
        pauses.append(gate().probe_at - gate_rows.now())

    expected = [30, 60, 120, 240, 300, 300, 300]
    assert all(
        abs(pause - wanted) < wanted * circuit.JITTER + 1 for pause, wanted in zip(pauses, expected, strict=True)
    )


def test_a_try_whose_process_died_is_followed_by_another() -> None:
    fail(circuit.FAILURES)
    let_it_be_tried()
    pacing.pass_through(a_delivery(), host=HOST)
    in_another_process()
    with pytest.raises(NotYet):
        pacing.pass_through(a_delivery(), host=HOST)

    assert gate().probe_at - gate_rows.now() <= circuit.PROBE
    let_it_be_tried()
    pacing.pass_through(a_delivery(), host=HOST)


def test_a_failure_that_began_before_the_circuit_was_opened_is_no_try() -> None:
    fail(circuit.FAILURES)
    before = gate().probe_at

    fail(3)

    assert (gate().probe_at, gate().probes) == (before, 0)


def test_those_that_wait_come_back_one_after_the_other() -> None:
    fail(circuit.FAILURES)
    returns = []

    for _ in range(30):
        before = gate_rows.now()
        with pytest.raises(NotYet) as told:
            pacing.pass_through(a_delivery("bulk"), host=HOST)
        after = told.value.after.total_seconds()
        # However long the statement took, it comes back between these two.
        returns.append((before + after, gate_rows.now() + after))

    (first, _), (_, last) = returns[0], returns[-1]
    # SQLite's clock tells them apart by some 40 microseconds, and what is waited for has whole ones.
    assert last - first >= 29 * circuit.RETURN_EVERY - 0.001
    with pytest.raises(NotYet) as urgent:
        pacing.pass_through(a_delivery("urgent"), host=HOST)
    assert gate_rows.now() + urgent.value.after.total_seconds() < last


def test_a_host_that_is_down_takes_no_token_of_the_channel(settings: Settings) -> None:
    settings.NOTIFICATIONS_LIMITS = {"email": (1, "h")}
    fail(circuit.FAILURES)

    with pytest.raises(NotYet, match="is down"):
        pacing.pass_through(a_delivery(), host=HOST)

    pacing.pass_through(a_delivery(), host=OTHER)


def test_who_may_not_go_for_its_limit_does_not_take_the_one_try(settings: Settings) -> None:
    settings.NOTIFICATIONS_LIMITS = {"email": (1, "h")}
    pacing.pass_through(a_delivery("bulk"), host=OTHER)
    fail(circuit.FAILURES)
    let_it_be_tried()

    with pytest.raises(NotYet, match="The limit of email"):
        pacing.pass_through(a_delivery("bulk"), host=HOST)

    assert not gate().is_probing


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_tries() -> None:
    fail(circuit.FAILURES)
    let_it_be_tried()
    barrier, outcomes = threading.Barrier(6), []

    def ask() -> None:
        barrier.wait()
        try:
            pacing.pass_through(a_delivery(), host=HOST)
            outcomes.append("tries")
        except NotYet:
            outcomes.append("waits")
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["tries", *["waits"] * 5]


def test_a_server_that_is_down_loses_nothing_and_gets_all_of_it_later(settings: Settings) -> None:
    server = MailServer(free_port())
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 1
    name = limits.host_gate("email", f"127.0.0.1:{server.port}")
    letters = [letter(f"reader{number}@example.org") for number in range(circuit.FAILURES + 2)]
    *tried, first, second = letters
    for one in tried:
        with pytest.raises(TransientError, match="cannot be reached"):
            run(one)

    for one in (first, second):
        with pytest.raises(NotYet, match="is down"):
            run(one)
    assert not Attempt.objects.filter(delivery__in=[first, second]).exists()
    assert gate(name).opened_at is not None

    back = Controller(server, hostname="127.0.0.1", port=server.port)
    back.start()
    try:
        let_it_be_tried()
        assert [run(one)["state"] for one in letters] == ["sent"] * len(letters)
    finally:
        back.stop()
    assert len(server.deliveries) == len(letters)
    assert gate(name).opened_at is None


def test_a_server_without_time_for_anybody_counts_as_down(mail_server: MailServer) -> None:
    mail_server.to_sender = "421 4.3.2 Shutting down"
    name = limits.host_gate("email", f"127.0.0.1:{mail_server.port}")
    for number in range(circuit.FAILURES):
        with pytest.raises(TransientError, match="421"):
            run(letter(f"reader{number}@example.org"))

    assert gate(name).opened_at is not None
    mail_server.to_sender = "250 fine"
    let_it_be_tried()
    assert run(letter())["state"] == "sent"
    assert gate(name).opened_at is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_provider_that_asks_to_be_left_alone_for_a_while_counts_as_down(provider: Provider, status: int) -> None:
    provider.status, provider.headers = status, {"Retry-After": "120"}
    name = limits.host_gate("email", EmailChannel().host(ANN, lane="bulk"))
    for number in range(circuit.FAILURES):
        with pytest.raises(TransientError, match=str(status)):
            run(letter(f"reader{number}@example.org", lane="bulk"))

    assert gate(name).opened_at is not None
    let_it_be_tried()
    with pytest.raises(TransientError, match=str(status)):
        run(letter("probe@example.org", lane="bulk"))
    assert (gate(name).opened_at is not None, gate(name).probes) == (True, 1)
    provider.status, provider.headers = 200, {}
    let_it_be_tried()
    assert run(letter(lane="bulk"))["state"] == "sent"
    assert gate(name).opened_at is None


@pytest.mark.parametrize(("status", "headers"), [(500, {"Retry-After": "120"}), (503, {})])
def test_a_provider_that_refuses_one_message_for_now_does_not(
    provider: Provider, status: int, headers: dict[str, str]
) -> None:
    provider.status, provider.headers = status, headers
    for number in range(circuit.FAILURES):
        with pytest.raises(TransientError, match=str(status)):
            run(letter(f"reader{number}@example.org", lane="bulk"))

    assert not Gate.objects.exclude(opened_at=None).exists()


def test_refused_addresses_say_nothing_of_the_host(mail_server: MailServer) -> None:
    for number in range(circuit.FAILURES + 1):
        address = f"reader{number}@example.org"
        mail_server.to_recipient = {address: "550 5.1.1 No such user" if number % 2 else "450 4.2.0 Greylisted"}
        with pytest.raises(Refused if number % 2 else TransientError):
            run(letter(address))

    assert not Gate.objects.exclude(opened_at=None).exists()
    assert not Gate.objects.filter(failures__gt=0).exists()


def test_what_waited_longer_than_it_may_be_tried_is_tried_all_the_same(mail_server: MailServer) -> None:
    mail_server.once = {ANN: "450 4.2.0 Greylisted"}
    one = letter()
    Delivery.objects.update(created_at=one.created_at - timedelta(days=9))

    with pytest.raises(TransientError, match="Greylisted"):
        run(one)

    assert run(one)["state"] == "sent"


def test_trying_now_brings_one_of_those_that_wait_forward(mail_server: MailServer) -> None:
    waiting = [letter(f"reader{number}@example.org") for number in range(3)]
    due = {one.task_id: timedelta(minutes=number + 1) for number, one in enumerate(waiting)}
    for row in Message.objects.filter(pk__in=due):
        at = row.due_at + due[row.pk]
        Message.objects.filter(pk=row.pk).update(error=f"{GATE} is down: refused. It is tried again at 9.", due_at=at)
        Outbox.objects.filter(message_id=row.pk).update(due_at=at)
    assert not deciding.try_now(GATE)
    fail(circuit.FAILURES)

    assert deciding.try_now(GATE)

    now = gate_rows.now() + 1
    assert [row.message_id for row in Outbox.objects.order_by("due_at") if row.due_at.timestamp() < now] == [
        waiting[0].task_id
    ]
    assert Message.objects.get(pk=waiting[0].task_id).due_at == Outbox.objects.get(message_id=waiting[0].task_id).due_at
    pacing.pass_through(a_delivery(), host=HOST)


def test_a_line_gets_the_pace_of_a_limit_that_was_raised(settings: Settings) -> None:
    settings.NOTIFICATIONS_LIMITS = {"email": (10, "s")}
    waiting = [letter(f"reader{number}@example.org", lane="bulk") for number in range(5)]
    for number, one in enumerate(waiting):
        row = Message.objects.get(pk=one.task_id)
        at = row.due_at + timedelta(hours=number + 1)
        Message.objects.filter(pk=row.pk).update(error="The limit of email is 1/h. Its turn is at 9.", due_at=at)
        Outbox.objects.filter(message_id=row.pk).update(due_at=at)
    gate_rows.ensure(["email"])
    Line.objects.create(gate_id="email", lane="bulk", end_at=gate_rows.now() + 9000)

    assert deciding.space_anew("email") == 5

    dues = [Message.objects.get(pk=one.task_id).due_at for one in waiting]
    gaps = [(later - dues[0]).total_seconds() for later in dues]
    assert gaps == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.05)
    assert [Outbox.objects.get(message_id=one.task_id).due_at for one in waiting] == dues
    assert Line.objects.get().end_at == pytest.approx(gate_rows.now() + 0.5, abs=2)
