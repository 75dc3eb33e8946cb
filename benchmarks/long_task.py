"""``python -m benchmarks.long_task``: a task of two hours, alone in its queue, through three deaths of the broker.

RabbitMQ delivers it again after each: the ledger alone keeps it from running again.
Exit status 1 unless its body ran once and its outcome is SUCCESS. The last line is JSON.
"""

import argparse
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_task", description=__doc__)
    parser.add_argument("--seconds", type=int, default=7200, help="how long the task is (default: %(default)s)")
    parser.add_argument("--deaths", type=int, default=3, help="how often the broker dies (default: %(default)s)")
    given = parser.parse_args()
    if given.deaths < 0 or given.seconds < 60 * (given.deaths + 1):
        parser.error("each death of the broker wants a minute of the task, and so does its end")
    # Django's settings read the addresses of the services as they are imported.
    os.environ["TEST_DATABASE"] = "postgresql"
    from benchmarks.relay import services
    from benchmarks.relay.sheet import Sheet

    sheet = Sheet()
    with services.running() as running:
        from benchmarks.relay import long_task

        if running.broker is None:
            parser.error("BROKER_URL names a broker that is not ours to kill: unset it")
        complaints = long_task.run(running, running.broker, sheet, seconds=given.seconds, deaths=given.deaths)
    for complaint in complaints:
        sheet.say(f"  {complaint}")
    sheet.say("It ran once." if not complaints else "NOT as promised.")
    sheet.as_json()
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
