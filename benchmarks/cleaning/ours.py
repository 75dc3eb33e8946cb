"""The clean-up for as long as each line of its input says, where something listens to every deletion, as audits do.

It says when it is ready: at night it is a task, in a process that is there anyway. Between its turns it stands still.
"""

import os
import sys
import time

from benchmarks.cleaning import memory


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    import django

    django.setup()
    from django.db.models.signals import post_delete
    from django.utils import timezone

    from routing.ledger import retention

    post_delete.connect(hear)
    turns = Turns()
    pruned = retention.prune(now=timezone.now(), stopped=turns.wait)
    tell(complete=pruned.complete)


class Turns:
    def __init__(self) -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        self._begin()

    def wait(self) -> bool:
        """Whether there will be no other one. Where the turn is over, it returns when the next begins."""
        if time.monotonic() < self._until:
            return False
        tell(complete=False)
        return not self._begin()

    def _begin(self) -> bool:
        seconds = sys.stdin.readline()
        self._until = time.monotonic() + float(seconds or 0)
        return bool(seconds)


def tell(*, complete: bool) -> None:
    sys.stdout.write(f"{int(complete)} {memory.most()}\n")
    sys.stdout.flush()


def hear(**_: object) -> None:
    raise SystemExit("A row was loaded to be deleted.")


if __name__ == "__main__":
    main()
