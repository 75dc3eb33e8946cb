"""Ports for private services, which several runs at once on one machine do not draw twice."""

import random
import socket
from collections.abc import Sequence

from project.services.rabbitmq import DISTRIBUTION, PORT_MAPPER

NODE_PORTS, PORTS = range(10_000, 12_700), range(13_000, 30_000)
"""Apart from each other, and with Erlang's further ports, below those that the system hands out by itself (32768)."""
_kept: list[socket.socket] = []


def free_port(*, below: int = PORTS.stop) -> int:
    """A port nobody listens on, and that no other run of the suite draws while this one lives."""
    return _draw(range(PORTS.start, min(below, PORTS.stop)))


def free_node_port() -> int:
    """The same for a RabbitMQ node, whose further two ports are free as well."""
    return _draw(NODE_PORTS, further=(DISTRIBUTION, PORT_MAPPER))


def _draw(ports: Sequence[int], *, further: tuple[int, ...] = ()) -> int:
    for port in random.sample(ports, len(ports)):
        if _keep([port, *(port + distance for distance in further)]):
            return port
    raise RuntimeError("No free port.")


def _keep(ports: list[int]) -> bool:
    """Take the UDP ports of these numbers, which nobody needs, until we end: a sign to other runs of the suite."""
    signs: list[socket.socket] = []
    try:
        for port in ports:
            signs.append(socket.socket(type=socket.SOCK_DGRAM))
            signs[-1].bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        for sign in signs:
            sign.close()
        return False
    _kept.extend(signs)
    return True
