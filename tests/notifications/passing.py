"""``python -m tests.notifications.passing``: a process that passes gates as a worker does, for many deliveries at once.

Each delivery that is told to come back does so at its time. Prints, as JSON, when deliveries passed and when any asked.
It begins when its standard input is closed, so that several begin together.
"""

import argparse
import heapq
import json
import sys
import time
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--deliveries", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--lane", default="bulk")
    parser.add_argument("--host", default="one.example.org:25")
    asked = parser.parse_args()
    _set_up()
    sys.stdin.read()
    passed, asked_at = _run(asked.deliveries, asked.seconds, _delivery(asked.lane), asked.host)
    sys.stdout.write(json.dumps({"passed": passed, "asked": asked_at}))


def _set_up() -> None:
    import os

    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()


def _delivery(lane: str) -> Any:
    from notifications.tables import Delivery, Notification

    return Delivery(notification=Notification(lane=lane), channel="email")


def _run(count: int, seconds: float, delivery: Any, host: str) -> tuple[list[float], list[float]]:
    from notifications import pacing
    from routing.errors import NotYet

    waiting = [(0.0, number) for number in range(count)]
    passed: list[float] = []
    asked: list[float] = []
    end = time.time() + seconds
    while waiting and (now := time.time()) < end:
        due, number = waiting[0]
        if due > now:
            time.sleep(min(due - now, end - now))
            continue
        heapq.heappop(waiting)
        asked.append(time.time())
        try:
            pacing.pass_through(delivery, host=host)
            passed.append(time.time())
        except NotYet as error:
            heapq.heappush(waiting, (time.time() + error.after.total_seconds(), number))
    return passed, asked


if __name__ == "__main__":
    main()
