"""Stock ``celery.backend_cleanup``, with 30 days as ``result_expires``; ``receivers``: something hears deletions.

It says when it is ready, and begins when it is told to.
"""

import os
import sys
from datetime import timedelta

from benchmarks.cleaning import memory


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.stock.settings"
    import django

    django.setup()
    from django.db.models.signals import post_delete

    from benchmarks.stock.celery import app

    if "receivers" in sys.argv:
        post_delete.connect(hear)
    app.conf.result_expires = timedelta(days=30)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    app.tasks["celery.backend_cleanup"]()
    sys.stdout.write(f"{memory.most()}\n")


def hear(**_: object) -> None:
    pass


if __name__ == "__main__":
    main()
