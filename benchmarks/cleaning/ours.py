"""The clean-up for as long as each line of its input says, where something listens to every deletion, as audits do."""

import os
import sys
from datetime import timedelta

from benchmarks.cleaning import memory


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    import django

    django.setup()
    from django.db.models.signals import post_delete
    from django.utils import timezone

    from routing.ledger import retention

    post_delete.connect(hear)
    for seconds in sys.stdin:
        pruned = retention.prune(now=timezone.now(), budget=timedelta(seconds=float(seconds)))
        sys.stdout.write(f"{int(pruned.complete)} {memory.most()}\n")
        sys.stdout.flush()


def hear(**_: object) -> None:
    raise SystemExit("A row was loaded to be deleted.")


if __name__ == "__main__":
    main()
