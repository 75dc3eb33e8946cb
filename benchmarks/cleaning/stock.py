"""Stock ``celery.backend_cleanup``, with 30 days as ``result_expires``; ``receivers``: something hears deletions."""

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
    app.tasks["celery.backend_cleanup"]()
    sys.stdout.write(f"{memory.most()}\n")


def hear(**_: object) -> None:
    pass


if __name__ == "__main__":
    main()
