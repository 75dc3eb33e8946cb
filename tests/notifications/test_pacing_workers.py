"""Limits and circuits with real workers, relay, RabbitMQ and mail server."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from kombu import Connection

from notifications import services
from notifications.pacing import circuit, deciding, limits
from notifications.pacing.tables import Gate
from notifications.tables import Attempt, Delivery
from routing.ledger import audit
from routing.ledger.tables import Message
from tests.free_ports import free_port
from tests.notifications.mail_server import MailServer
from tests.waiting import until
from tests.workers import Process, StartWorker

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]
COUNT, RATE = 120, 20


@pytest.fixture
def server() -> MailServer:
    """It does not listen yet."""
    return MailServer(free_port())


@contextmanager
def listening(server: MailServer) -> Iterator[None]:
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    yield
    controller.stop()


def write(count: int, *, lane: str) -> None:
    to = [f"reader{number}@example.org" for number in range(count)]
    services.notify(to, subject="News", text="There is some.\n", lane=lane)


def sent(lane: str) -> int:
    return Delivery.objects.filter(notification__lane=lane, state="sent").count()


def runs(worker: Process) -> int:
    ended = [line for line in worker.log.read_text().splitlines() if "notifications.deliver[" in line]
    return sum(1 for line in ended if " ignored" in line or " succeeded" in line)


def test_workers_keep_a_limit_together_run_each_delivery_about_twice_and_let_urgent_by(
    start_worker: StartWorker, clean_broker: Connection, server: MailServer
) -> None:
    variables = {"NOTIFICATIONS_LIMITS": f"email={RATE}/s", "EMAIL_URL": f"smtp://127.0.0.1:{server.port}"}
    with listening(server):
        bulk = start_worker("notifications.bulk", "--concurrency=3", **variables)
        start_worker("notifications.urgent", **variables)
        write(COUNT, lane="bulk")
        until(lambda: sent("bulk") > 10, what="the first of the flood")
        write(1, lane="urgent")
        until(lambda: sent("urgent"), what="the urgent one")
        still_waiting = COUNT - sent("bulk")
        until(lambda: sent("bulk") == COUNT, seconds=90, what="all of the flood")

    begun = sorted(Attempt.objects.values_list("started_at", flat=True))
    burst = limits.Limit("email", RATE, "s").early("bulk") * RATE + 2
    assert (begun[-1] - begun[0]).total_seconds() * RATE >= COUNT - burst
    assert still_waiting > COUNT / 4
    assert Attempt.objects.count() == len(server.deliveries) == COUNT + 1
    assert runs(bulk) <= COUNT * 2.3
    assert audit.audit().balances


def test_while_a_server_is_down_deliveries_wait_and_all_go_out_when_it_is_back(
    start_worker: StartWorker, clean_broker: Connection, server: MailServer
) -> None:
    gate = limits.host_gate("email", f"127.0.0.1:{server.port}")
    start_worker("notifications", EMAIL_URL=f"smtp://127.0.0.1:{server.port}")
    write(circuit.FAILURES, lane="default")
    until(lambda: Gate.objects.filter(pk=gate, opened_at__isnull=False).exists(), what="the open circuit")
    write(20, lane="default")
    waiting = Message.objects.filter(error__startswith=f"{gate} is down: ", owner=None, state="PENDING", attempt=1)
    until(lambda: waiting.count() == 20, what="those that wait")

    with listening(server):
        assert deciding.try_now(gate)
        until(lambda: sent("default") == 20, seconds=60, what="those that waited")

    assert Gate.objects.get(pk=gate).opened_at is None
    assert Attempt.objects.count() == circuit.FAILURES + 20
    # Those that found it down come back by their own policy.
    assert Delivery.objects.filter(state="pending").count() == circuit.FAILURES
