"""Every message delivered twice and out of order; every task still runs and counts once."""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from django.db import DatabaseError, connection
from django.db.models import Sum
from django_celery_results.models import TaskResult
from kombu import Connection

from routing.broker.sending import EPOCH_HEADER
from routing.ledger import audit
from routing.ledger.tables import Message, Tally
from tests import probe as typed_probe
from tests.waiting import until
from tests.workers import StartWorker

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.pipeline, pytest.mark.broker]


class Doubler(threading.Thread):
    """Publishes two further copies of whatever is in flight, in an order of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.copies: Counter[tuple[str, int]] = Counter()
        self.done = threading.Event()

    def run(self) -> None:
        chance = random.Random(7)  # noqa: S311
        with Connection(self._url) as broker:
            producer = broker.Producer(serializer="json")
            while not self.done.wait(0.05):
                with suppress(DatabaseError):
                    messages = list(Message.objects.all())
                    chance.shuffle(messages)
                    for message in messages:
                        if self.copies[message.pk, message.epoch] < 2:
                            self._publish(producer, message)
        connection.close()

    def _publish(self, producer: Any, message: Message) -> None:
        headers = {**json.loads(message.headers), EPOCH_HEADER: message.epoch, "retries": message.attempt - 1}
        producer.publish(
            message.body,
            routing_key=message.queue,
            headers=headers,
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=message.pk,
        )
        self.copies[message.pk, message.epoch] += 1


@pytest.fixture
def doubler(broker_url: str) -> Iterator[Doubler]:
    doubler = Doubler(broker_url)
    yield doubler
    doubler.done.set()
    doubler.join(60)


def test_nothing_runs_or_counts_twice(start_worker: StartWorker, doubler: Doubler, tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")
    group_of_five: Any = group(probe.add.s(n, n) for n in range(5)).delay()
    results: list[Any] = [
        *(probe.report.delay(journal) for _ in range(10)),
        chain(probe.add.s(1, 2), probe.add.s(3), probe.add.s(4)).delay(),
        *group_of_five.results,
        chord([probe.add.s(n, n) for n in range(5)])(probe.total.s()),
        probe.add.apply_async((1, 1), link=[probe.add.s(1), probe.add.s(2)]),
        probe.fail_for_good.apply_async(link_error=probe.total.si([1])),
        probe.succeed_at_third_run.delay(str(tmp_path / "retried")),
        probe.count_down.delay(3),
        probe.become_a_chain.delay(),
    ]
    doubler.start()
    start_worker("reporting", "--concurrency=2")

    until(lambda: not Message.objects.exists(), seconds=60, what="all outcomes")
    outcomes = {row.task_id: row for row in TaskResult.objects.all()}
    assert [outcomes[result.id].status for result in results].count("FAILURE") == 1
    assert outcomes[results[10].id].result == "10"
    assert outcomes[results[-1].id].result == "13"
    # 10 reports, 3 of the chain, 5 of the group, 6 of the chord, 3 with links, 2 with an errback, and 1, 1, 2.
    assert len(outcomes) == 10 + 3 + 5 + 6 + 3 + 2 + 1 + 1 + 2
    assert Tally.objects.aggregate(Sum("accepted"))["accepted__sum"] == len(outcomes)
    assert len(Path(journal).read_text().splitlines()) == 10
    assert len((tmp_path / "retried").read_text().splitlines()) == 3
    assert len(doubler.copies) > len(results)
    assert audit.audit().balances
