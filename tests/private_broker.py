"""A RabbitMQ node of our own, and all that may befall it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from project.services import ports
from project.services.errors import ServiceError
from project.services.rabbitmq import Node
from tests.freezing import freeze
from tests.waiting import until


class Broker:
    """The suite's own RabbitMQ node, and all that may befall it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process whose children do the work; None before its first start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return once it answers. Safe to call again."""
        if self._process is None or self._process.poll() is not None:
            self._process = self.node.start()
            self.node.wait_until_ready(self._process)

    def stop(self) -> None:
        if self._process is not None:
            self.node.stop(self._process)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self.node.stop_port_mapper()
        # Erlang's helpers have inherited its sockets, and end a moment later.
        until(self._port_is_free, what=f"port {self.node.port} to be given up")

    def _port_is_free(self) -> bool:
        try:
            ports.require(self.node.port, variable="BROKER_PORT")
        except ServiceError:
            return False
        return True

    def wipe(self) -> None:
        """Kill it and take its disk away."""
        self.kill()
        shutil.rmtree(self.node.folder / "data")

    def freeze(self) -> None:
        """Its connections stay open, and nobody answers on them."""
        if self._process is not None and self._process.poll() is None:
            freeze(self._process.pid)

    def thaw(self) -> None:
        """Safe to call again."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _signal(self, number: signal.Signals) -> None:
        # Erlang's helpers have sessions of their own, and none of them is worth a signal.
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)
