"""``python -m benchmarks.soak``: a steady load for an hour, of which one transaction stays open for ten minutes.

Exit status 1 if the relay's polls got slow, something kept growing, or a task did not come to its end. The last line is
JSON.
"""

import argparse
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=40, help="tasks a second (default: %(default)s)")
    given = parser.parse_args()
    if given.seconds < 6 or given.rate < 1:
        parser.error("a soak takes at least 6 seconds and 1 task a second")
    # Django's settings read the addresses of the services as they are imported.
    os.environ["TEST_DATABASE"] = "postgresql"
    from benchmarks.relay import services
    from benchmarks.relay.sheet import Sheet

    sheet = Sheet()
    with services.running() as running:
        from benchmarks.relay.soak import Soak

        complaints = Soak(running, sheet, rate=given.rate).run(given.seconds)
    for complaint in complaints:
        sheet.say(f"  {complaint}")
    sheet.say("Flat, and quick throughout." if not complaints else "NOT flat, or not quick.")
    sheet.as_json()
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
