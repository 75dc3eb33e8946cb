"""The mail server that all send to: it takes everything, and counts. ``python -m benchmarks.notifications.server PORT``

It is told by lines of JSON what to answer, and answers with a line each.
"""

import json
import sys
import time
from collections import defaultdict
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class Taken:
    """When each recipient got a message, by the machine's monotonic clock, which all its processes share."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = defaultdict(list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        now = time.monotonic()
        for address in envelope.rcpt_tos:
            self._times[address].append(now)
        return "250 taken"

    def clear(self) -> dict[str, Any]:
        self._times.clear()
        return {}

    def count(self, *, prefix: str) -> dict[str, Any]:
        """Messages to recipients of this prefix, different recipients, and the time of the last message."""
        times = [self._times[address] for address in list(self._times) if address.startswith(prefix)]
        return {
            "messages": sum(map(len, times)),
            "recipients": len(times),
            "last_at": max((max(each) for each in times), default=0.0),
        }

    def times(self, *, prefix: str) -> dict[str, Any]:
        """Of the first message to each recipient."""
        return {address: each[0] for address, each in list(self._times.items()) if address.startswith(prefix)}


def main(port: int) -> None:
    taken = Taken()
    controller = Controller(taken, hostname="127.0.0.1", port=port)
    controller.start()
    _answer({})
    for line in sys.stdin:
        command = json.loads(line)
        _answer(getattr(taken, command.pop("do"))(**command))
    controller.stop()


def _answer(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
