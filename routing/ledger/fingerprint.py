"""Fingerprint: what tells failures of one cause from those of another, whoever and whatever they befell.

Task, exception, message without what differs from one occurrence to the next, and the project's own frames without line
numbers: the same before and after an unrelated change to the file, and on machines that have it in another folder.
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby, islice

from routing.ledger import database

BATCH = 200
FRAMES = 50
LONGEST = 2_000
"""Characters of a message that count."""

_FRAME = re.compile(r'^ *File "([^"]+)", line \d+, in (.+)$', re.MULTILINE)
_SEPARATOR = re.compile(r"[\\/]")
_LIBRARY = re.compile(r"site-packages|dist-packages|/lib/python\d|^<|[\\/]routing[\\/]worker[\\/]")
_VARIABLE = (
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<address>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<number>"),
    (re.compile(r"\s+"), " "),
)


def fingerprint(*, task: str, error: str | None, traceback: str | None) -> str:
    """32 hexadecimal digits. ``error`` is "Type: message"."""
    kind, _, message = (error or "").partition(": ")
    cause = "\0".join([task, _normal(kind), _normal(message), *_frames(traceback or "")])
    return sha256(cause.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def work_out(*, batches: int = 10) -> int:
    """Give dead letters that have none their fingerprints. Returns how many. Safe to call again, and by several.

    Not the settlement's to do: it is on the way of every task, and a function of the database.
    """
    count = 0
    for _ in range(batches):
        done = _batch()
        count += done
        if done < BATCH:
            break
    return count


def _batch() -> int:
    # Whoever else is at work on some of them is left to it.
    held = "FOR UPDATE SKIP LOCKED" if database.on_postgresql() else ""
    with database.atomic():
        found = database.rows(
            f"SELECT id, task, error, traceback FROM routing_deadletter WHERE fingerprint = '' LIMIT {BATCH} {held}"
        )
        worked_out = [
            (row["id"], fingerprint(task=row["task"], error=row["error"], traceback=row["traceback"])) for row in found
        ]
        database.set_columns("routing_deadletter", {"fingerprint": "text"}, worked_out)
    return len(found)


def _normal(text: str) -> str:
    text = text[:LONGEST]
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    return text.strip()


def _frames(traceback: str) -> Iterator[str]:
    """The project's own, each run of the same one once; where there are none, the innermost of all."""
    frames = [(path, name) for path, name in _FRAME.findall(traceback)]
    own = [frame for frame in frames if not _LIBRARY.search(frame[0])] or frames[-1:]
    for (path, name), _ in islice(groupby(own), FRAMES):
        yield f"{'/'.join(_SEPARATOR.split(path)[-2:])}:{name}"
