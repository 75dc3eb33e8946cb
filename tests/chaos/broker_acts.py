"""Attacks on RabbitMQ, which we start again."""

import time
from collections.abc import Mapping, Sequence
from functools import partial

from kombu import Connection

from project.services.errors import ServiceError
from routing.broker import topology
from routing.domains import registry
from tests.chaos.acts import Act, since, within
from tests.chaos.cluster import Cluster
from tests.chaos.plan import Decision, Target
from tests.private_broker import Broker
from tests.waiting import until

STARTED_WITHIN = 120
ABSENCE, SHORT, LONG = (0.0, 5.0), (0.5, 4.0), (10.0, 22.0)
"""In seconds. The longest is longer than clients wait for an answer, and than a heartbeat of theirs."""
DIGESTED_AFTER = 3.0


class BrokerActs:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def kinds(self) -> Mapping[str, Act]:
        return {
            "broker-kill": self._kill_one,
            "majority-kill": self._kill_two,
            "broker-freeze": partial(self._freeze, span=SHORT),
            "broker-freeze-long": partial(self._freeze, span=LONG),
            "broker-wipe": self._wipe,
        }

    def mend(self) -> None:
        """An attack may have been interrupted in the middle."""
        for broker in self._cluster.nodes:
            broker.thaw()

    def _kill_one(self, target: Target, decision: Decision) -> str:
        return _away([self._victim(decision)], decision)

    def _kill_two(self, target: Target, decision: Decision) -> str:
        nodes = self._cluster.nodes
        first = nodes.index(self._victim(decision))
        return _away([nodes[first], nodes[(first + 1) % len(nodes)]], decision)

    def _freeze(self, target: Target, decision: Decision, *, span: tuple[float, float]) -> str:
        broker, seconds = self._victim(decision), within(span, decision.length)
        with broker.frozen():
            time.sleep(seconds)
        return f"{broker.node.name} for {seconds:.1f} s"

    def _wipe(self, target: Target, decision: Decision) -> str:
        began = time.monotonic()
        self._cluster.wipe()
        until(self._has_queues, seconds=STARTED_WITHIN, what="somebody to declare the queues again")
        again = since(began)
        # RabbitMQ 3.10 never again takes a message for a quorum queue that was made within a second before its node
        # died; that is not ours to prove.
        time.sleep(DIGESTED_AFTER)
        return f"all of it; its queues were there again after {again}"

    def _has_queues(self) -> bool:
        connection = Connection(self._cluster.urls.partition(";")[0], connect_timeout=5)
        try:
            with connection:
                return not topology.missing(connection, topology.queues(registry()))
        except (*connection.connection_errors, *connection.channel_errors):
            return False

    def _victim(self, decision: Decision) -> Broker:
        return self._cluster.nodes[int(decision.victim * len(self._cluster.nodes))]


def _away(brokers: Sequence[Broker], decision: Decision) -> str:
    began = time.monotonic()
    for broker in brokers:
        broker.kill()
    time.sleep(within(ABSENCE, decision.absence))
    for broker in brokers:
        until(lambda broker=broker: _has_started(broker), seconds=STARTED_WITHIN, what=f"{broker.node.name} to start")  # type: ignore[misc]
    return f"{' and '.join(broker.node.name for broker in brokers)}, away for {since(began)}"


def _has_started(broker: Broker) -> bool:
    try:
        broker.start()
    except ServiceError:
        return False
    return True
