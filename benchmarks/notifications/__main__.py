"""``python -m benchmarks.notifications mails|storing|pages``: with services of its own; the last line is JSON.

``mails`` (the default): e-mail by ``notify_many``, stock Celery and a loop, and what a flood does to urgent mails.
``storing``: recipients a second that ``notify_many`` stores. ``pages``: the admin's and the API's over ten million
deliveries. Exit status 1 if a mail was lost or doubled, if fewer than 3,000 a second were stored, or if a page took
longer than 300 ms (p95).
"""

import argparse
import os
import sys

WAYS = ("mails", "storing", "pages")
COUNTS = {"mails": 10_000, "storing": 100_000, "pages": 0}
ROUNDS = {"mails": 3, "storing": 3, "pages": 20}
ROWS = {"mails": 0, "storing": 0, "pages": 10_000_000}
LEAST = 10_000
"""Rows of which the pages have something to show."""


def main() -> int:
    given = _options()
    count = given.count or COUNTS[given.what]
    rounds = given.rounds or ROUNDS[given.what]
    if given.what == "mails":
        from benchmarks.notifications import mails

        return int(not mails.measure(count=count, rounds=rounds, within=given.folder))
    # Django's settings read the addresses of the services as they are imported.
    os.environ["TEST_DATABASE"] = "postgresql"
    from benchmarks.relay import services

    rows = ROWS[given.what] if given.rows is None else given.rows
    with services.running():
        if given.what == "storing":
            from benchmarks.notifications import stored

            return int(not stored.measure(count=count, rounds=rounds, rows=rows))
        from benchmarks.notifications import pages

        return int(not pages.measure(rows=rows, rounds=rounds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.notifications",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=WAYS, default=WAYS[0], help="what is measured (%(default)s)")
    parser.add_argument("--count", type=_positive, help="mails each way (10000), or recipients to store (100000)")
    parser.add_argument("--rounds", type=_positive, help="how often; each page so often (3, pages 20)")
    parser.add_argument("--rows", type=_rows, help="deliveries that are there before (storing 0, pages 10000000)")
    parser.add_argument("--folder", help="where the services of mails keep their data; a disk, not memory")
    given = parser.parse_args()
    if given.what == "pages" and given.rows == 0:
        parser.error("pages need --rows, at least 10000")
    return given


def _rows(text: str) -> int:
    if text == "0":
        return 0
    if (rows := _positive(text)) < LEAST:
        raise argparse.ArgumentTypeError(f"{text!r} is too few; give 0, or at least {LEAST}")
    return rows


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
