"""What a run prints and keeps: a line for each act, the verdict, and every table as text, to be searched by task id."""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django_celery_results.models import ChordCounter, TaskResult

from routing.ledger.tables import DeadLetter, Message, Outbox, Process, Tally, UniqueKey
from tests.chaos.judge import Finding

TABLES = (Message, Outbox, TaskResult, DeadLetter, Process, Tally, UniqueKey, ChordCounter)
SHOWN = 10


class Report:
    """Every line goes to the terminal and to acts.log, with the seconds since the run began."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = (folder / "acts.log").open("a", buffering=1)
        self._began = time.monotonic()

    def begin(self) -> None:
        self._began = time.monotonic()

    def clock(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def act(self, began: float, kind: str, done: str) -> None:
        self._print(f"{began:7.1f}  {kind:<18}  {done}", at=time.time() - (self.clock() - began))

    def say(self, words: str) -> None:
        self._print(f"{self.clock():7.1f}  {words}", at=time.time())

    def accusations(self, finding: Finding) -> None:
        """All of them go to findings.log; a few of each kind to the terminal."""
        with (self.folder / "findings.log").open("w") as file:
            for one in finding.accusations:
                file.write(f"{one.charge}  {one.task_id}  {one.story}\n")
        shown: Counter[str] = Counter()
        for one in finding.accusations:
            shown[one.charge] += 1
            if shown[one.charge] <= SHOWN:
                self.say(f"{one.charge.upper()}  {one.task_id}  {one.story}")
        for charge, count in shown.items():
            if count > SHOWN:
                self.say(f"{charge.upper()}  and {count - SHOWN} more in findings.log")

    def tables(self) -> None:
        folder = self.folder / "tables"
        folder.mkdir(exist_ok=True)
        for table in TABLES:
            with (folder / f"{table._meta.db_table}.jsonl").open("w") as file:
                for row in table._default_manager.values().iterator():
                    file.write(json.dumps(row, cls=DjangoJSONEncoder) + "\n")

    def conclude(self, summary: Mapping[str, Any]) -> None:
        """The last line is one JSON object."""
        text = json.dumps(summary)
        (self.folder / "summary.json").write_text(f"{text}\n")
        _write(text)

    def _print(self, line: str, *, at: float) -> None:
        # The time of day is how the logs of everybody else begin.
        self._log.write(f"{time.strftime('%H:%M:%S', time.localtime(at))}  {line}\n")
        _write(line)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
