"""Whoever has something to say: a process within an application, told by lines of JSON whom to write to.

``python -m benchmarks.notifications.caller ours|stock``
"""

import json
import random
import sys
import time
from importlib import import_module
from typing import Any

import django

SUBJECT = "Your invoice of November"
TEXT = "Hello,\n\nyour invoice of November is ready. You find it in your account.\n" * 8
SENDER = "Taskyard <taskyard@example.org>"
PAUSE = (0.08, 0.16)
"""Seconds between two urgent calls; at random, so that they do not keep step with anybody's polling."""
MIDDLE = (0.25, 0.75)
"""Of its share of the time, when a call is made: at random, and not beside the next one."""


class Stock:
    """What Django and stock Celery offer."""

    application = "benchmarks.stock.celery"

    def __init__(self) -> None:
        import_module(self.application).app.set_default()
        django.setup()

    def loop(self, *, prefix: str, count: int) -> dict[str, float]:
        """One ``send_mail`` after the other."""
        from django.core.mail import send_mail

        began = time.monotonic()
        for number in range(count):
            send_mail(SUBJECT, TEXT, SENDER, [_address(prefix, number)])
        return {"began": began, "seconds": time.monotonic() - began}

    def many(self, *, prefix: str, count: int) -> dict[str, float]:
        """A task for each mail."""
        from benchmarks.stock.tasks import mail

        began = time.monotonic()
        for number in range(count):
            mail.delay(SUBJECT, TEXT, SENDER, _address(prefix, number))
        return {"began": began, "seconds": time.monotonic() - began}


class Ours(Stock):
    application = "project.celery"

    def many(self, *, prefix: str, count: int) -> dict[str, float]:
        """One call for all."""
        import notifications

        began = time.monotonic()
        recipients = (_address(prefix, number) for number in range(count))
        notifications.notify_many(
            recipients, key=f"bench:{prefix}", subject=SUBJECT, text=TEXT, from_email=SENDER, lane="bulk"
        )
        return {"began": began, "seconds": time.monotonic() - began}

    def urgent(self, *, prefix: str, count: int, seed: int, seconds: float = 0.0) -> dict[str, float]:
        """One call at a time, each with its own commit, spread over so many seconds; when each was made."""
        import notifications

        chance, made = random.Random(seed), {}  # noqa: S311
        began, share = time.monotonic(), seconds / count
        for number in range(count):
            time.sleep(max(began + (number + chance.uniform(*MIDDLE)) * share - time.monotonic(), 0))
            address = _address(prefix, number)
            made[address] = time.monotonic()
            notifications.notify(address, subject=SUBJECT, text=TEXT, from_email=SENDER, lane="urgent")
            time.sleep(chance.uniform(*PAUSE))
        return made


def _address(prefix: str, number: int) -> str:
    return f"{prefix}-{number}@example.org"


def main(side: str) -> None:
    caller = Ours() if side == "ours" else Stock()
    _answer({})
    for line in sys.stdin:
        command = json.loads(line)
        _answer(getattr(caller, command.pop("do"))(**command))


def _answer(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
