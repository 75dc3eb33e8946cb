"""Journal: what a caller was promised, in a file of its own that is on disk before the caller goes on.

Two lines for each transaction: what is in it, just before its commit, and what came of that. A caller that is killed in
between leaves the first line alone, and one that loses its connection during the commit writes ``unknown``: either may
be the case then.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Verdict(StrEnum):
    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One call. ``tasks``: every id that must come to an outcome; ``first``: those that exist from the commit on.

    ``final`` is the task whose value is ``value``, where it succeeds; ``key`` its unique key, if it has one.
    """

    kind: str
    tasks: Sequence[str]
    first: Sequence[str]
    final: str
    value: Any = None
    key: str | None = None


@dataclass(frozen=True)
class Entry:
    transaction: str
    sent: tuple[Sent, ...]
    verdict: Verdict


class Journal:
    """Opened for one life of one caller: ``life`` says which."""

    def __init__(self, folder: Path, caller: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{caller}.jsonl"
        self.life = sum("life" in line for line in _lines(path)) if path.exists() else 0
        self._name = f"{caller}.{self.life}"
        self._count = 0
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        # The life before may have been killed in the middle of a line.
        os.write(self._file, b"\n")
        self._write({"life": self.life})

    def intend(self, sent: Sequence[Sent]) -> str:
        """Just before the commit. Returns the transaction's name."""
        self._count += 1
        name = f"{self._name}.{self._count}"
        self._write({"transaction": name, "sent": [asdict(one) for one in sent]})
        return name

    def conclude(self, transaction: str, verdict: Verdict) -> None:
        """On disk when this returns."""
        self._write({"transaction": transaction, "verdict": verdict})
        os.fsync(self._file)

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")


def read(folder: Path) -> list[Entry]:
    """Every caller's, in the order of writing."""
    return [entry for path in sorted(folder.glob("*.jsonl")) for entry in _entries(path)]


def _entries(path: Path) -> Iterator[Entry]:
    intended: dict[str, tuple[Sent, ...]] = {}
    verdicts: dict[str, Verdict] = {}
    for line in _lines(path):
        if "sent" in line:
            intended[line["transaction"]] = tuple(Sent(**one) for one in line["sent"])
        elif "verdict" in line:
            verdicts[line["transaction"]] = Verdict(line["verdict"])
    for name, sent in intended.items():
        yield Entry(name, sent, verdicts.get(name, Verdict.UNKNOWN))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(errors="replace").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            # Empty, or torn: then its transaction was not committed yet.
            continue
