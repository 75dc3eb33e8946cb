"""``python -m benchmarks.relay``: start the services, measure, and stop them. The last line is JSON."""

import argparse
import json
import os
import subprocess
import sys

from benchmarks.relay.sheet import Sheet

PARTS = ("enqueue", "relay", "isolation", "bystander")
ON_SQLITE = ("enqueue", "relay")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relay", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within a minute: a tenth of the rows, PostgreSQL only")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], help="this one only")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be given several times")
    parser.add_argument("--rounds", type=int, help="of the isolation")
    given = parser.parse_args()
    # Django's settings read the addresses of the services as they are imported, and so does all that is measured.
    os.environ["TEST_DATABASE"] = given.database or "postgresql"
    from benchmarks.relay import services

    sheet, parts = Sheet(), given.only or PARTS
    with services.running() as running:
        from benchmarks.relay import measuring

        measuring.measure(running, sheet, quick=given.quick, parts=parts, rounds=given.rounds)
        if given.database is None and not given.quick and (both := [part for part in parts if part in ON_SQLITE]):
            _measure_sqlite(sheet, running.broker_url, both)
    sheet.as_json()
    return 0


def _measure_sqlite(sheet: Sheet, broker_url: str, parts: list[str]) -> None:
    """In a process of its own, as Django has settled for a database in this one."""
    options = [f"--only={part}" for part in parts]
    command = [sys.executable, "-m", "benchmarks.relay", "--database=sqlite", *options]
    environment = os.environ | {"BROKER_URL": broker_url}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    *words, figures = done.stdout.splitlines()
    sheet.say("\n".join(words))
    sheet.note("sqlite", json.loads(figures))


if __name__ == "__main__":
    sys.exit(main())
