"""``python -m benchmarks.console.stock 3 < pages.json``: how long pages of the stock admin take, as a line of JSON."""

import json
import sys

import django


def main() -> None:
    django.setup()
    from benchmarks.console import timing

    taken = timing.milliseconds(timing.signed_in(), json.load(sys.stdin), rounds=int(sys.argv[1]))
    sys.stdout.write(f"{json.dumps(taken)}\n")


if __name__ == "__main__":
    main()
