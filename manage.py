#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["alive"]:
        _probe()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit("Stopped.")


def _probe() -> None:
    """Without Django: supervisors ask every few seconds, and loading it takes a second."""
    from routing import alive

    sys.exit(alive.main(sys.argv[2:], alive.folder_of(os.environ, os.path.dirname(os.path.realpath(__file__)))))


if __name__ == "__main__":
    main()
