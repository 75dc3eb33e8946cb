"""The run's own RabbitMQ: one node, or a cluster of three on this machine."""

import json
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from project.services.rabbitmq import PORT_MAPPER, Node
from tests.free_ports import free_node_port
from tests.private_broker import Broker
from tests.waiting import until

COOKIE = "taskyard-chaos"
JOINED_WITHIN = 60


@dataclass(frozen=True, kw_only=True)
class Member(Node):
    """A node of a cluster: its peers find it through the one port mapper that all of them use."""

    mapper_port: int
    names: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "ERL_EPMD_PORT": str(self.mapper_port),
            # Idle schedulers that spin take the processor from those who work.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def prepare(self) -> None:
        super().prepare()
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(COOKIE)
            cookie.chmod(0o400)

    def stop_port_mapper(self) -> None:
        """The others need it."""

    def _config(self) -> str:
        peers = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}@localhost\n"
            for number, name in enumerate(self.names, start=1)
        )
        return f"{super()._config()}cluster_formation.peer_discovery_backend = classic_config\n{peers}"


class Cluster:
    """Its nodes, by number; all of them are made and joined by ``start``."""

    def __init__(self, folder: Path, *, nodes: int) -> None:
        ports = [free_node_port() for _ in range(nodes)]
        names = tuple(f"chaos-{number}-{ports[0]}" for number in range(1, nodes + 1))
        members = [
            Member(
                folder=folder / f"rabbitmq-{number}",
                port=port,
                name=name,
                mapper_port=ports[0] + PORT_MAPPER,
                names=names,
            )
            for number, (port, name) in enumerate(zip(ports, names, strict=True), start=1)
        ]
        self.nodes: Sequence[Broker] = [Broker(member) for member in members]

    @property
    def urls(self) -> str:
        return ";".join(broker.node.url for broker in self.nodes)

    def start(self) -> None:
        """Return once every node answers, and knows the others."""
        first, *others = self.nodes
        # Two new nodes that start at once might each found a cluster; one that runs is joined.
        first.start()
        threads = [threading.Thread(target=broker.start) for broker in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(self._is_whole, seconds=JOINED_WITHIN, what="all nodes to be one cluster")

    def wipe(self) -> None:
        """Kill every node, take all disks away, and begin anew."""
        for broker in self.nodes:
            broker.kill()
        for broker in self.nodes:
            shutil.rmtree(broker.node.folder / "data")
        self.start()

    def stop(self) -> None:
        for broker in self.nodes:
            broker.thaw()
            broker.stop()
        node = self.nodes[0].node
        subprocess.run(["epmd", "-kill"], env=node.environment(), capture_output=True, check=False)

    def _is_whole(self) -> bool:
        status = json.loads(self.nodes[0].node.control("cluster_status", "--formatter", "json"))
        return len(status["running_nodes"]) == len(self.nodes)
