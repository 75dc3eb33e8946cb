"""``manage.py cleanup``, where something listens to every deletion, as audit packages do."""

import os
import sys

from benchmarks.cleaning import memory


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db.models.signals import post_delete

    post_delete.connect(hear)
    call_command("cleanup", "--json")
    sys.stdout.write(f"{memory.most()}\n")


def hear(**_: object) -> None:
    raise SystemExit("A row was loaded to be deleted.")


if __name__ == "__main__":
    main()
