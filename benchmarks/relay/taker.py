"""Takes messages off a queue and acks them, in a process of its own, and notes which came when.

``python -m benchmarks.relay.taker QUEUE JOURNAL``, with ``--rate`` messages a second if that is given, holding
``--held`` at most. The broker is BROKER_URL's; the clock is time.monotonic, which all processes of a machine share.
"""

import argparse
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from kombu import Connection

LONGEST_WAIT = 0.2


class Taker:
    """Acks in lots: at full speed every so many, else as many as fall into one PAUSE."""

    LOT = 100
    PAUSE = 0.01

    def __init__(self, channel: Any, journal: TextIO, *, rate: int | None) -> None:
        self._channel = channel
        self._journal = journal
        self._each = 1 / rate if rate else 0.0
        self._free_at = 0.0
        self._unacked = 0
        self._last = 0

    def take(self, message: Any) -> None:
        now = time.monotonic()
        self._journal.write(f"{now:.6f} {message.headers['id']}\n")
        self._last = message.delivery_tag
        self._unacked += 1
        self._free_at = max(self._free_at, now) + self._each
        if self._free_at - now > self.PAUSE:
            self.ack()
            time.sleep(self._free_at - now)
        elif self._unacked == self.LOT:
            self.ack()

    def ack(self) -> None:
        if self._unacked:
            self._channel.basic_ack(self._last, multiple=True)
            self._unacked = 0
            self._journal.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay.taker", description=__doc__)
    parser.add_argument("queue")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--rate", type=int)
    parser.add_argument("--held", type=int, default=500)
    given = parser.parse_args()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    with Connection(os.environ["BROKER_URL"]) as connection, given.journal.open("w") as journal:
        channel: Any = connection.channel()
        channel.basic_qos(0, given.held, False)
        taker = Taker(channel, journal, rate=given.rate)
        channel.basic_consume(given.queue, callback=taker.take)
        # Whoever started us waits for this line.
        journal.write("began\n")
        journal.flush()
        while not stopped:
            with suppress(TimeoutError):
                connection.drain_events(timeout=LONGEST_WAIT)
            taker.ack()


if __name__ == "__main__":
    main()
