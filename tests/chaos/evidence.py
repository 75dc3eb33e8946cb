"""What the judge looks at, gathered once when all is quiet: journals, tables, and what bodies left behind."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import Sum
from django_celery_results.models import ChordCounter, TaskResult

from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message, Outbox, Tally
from tests.chaos import journal, traces, watch, windows
from tests.chaos.journal import Entry


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: str
    task: str = ""
    value: Any = None
    parent: str | None = None
    reason: str | None = None
    runs: int = 0
    created_at: datetime | None = None
    done_at: datetime | None = None
    signature: str = ""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A task that is in flight still."""

    task: str
    state: str = "PENDING"
    parent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    entries: Sequence[Entry] = ()
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    in_flight: Mapping[str, Waiting] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=Counter)
    attempts: Mapping[tuple[str, str], int] = field(default_factory=Counter)
    """Starts by task and attempt."""
    interrupted: Mapping[str, int] | None = None
    """How often workers that were stopped gave back each task; None where bodies may run twice for other reasons."""
    effects: Mapping[str, int] = field(default_factory=Counter)
    seen: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    """The signatures of each task's outcome while the run went on."""
    letters: Mapping[str, int] = field(default_factory=Counter)
    accepted: int = 0
    finished: int = 0
    discarded: int = 0
    """Outcomes that the ledger counted as finished and gone: a second one of the same id."""
    died_in_windows: Mapping[int, str] = field(default_factory=dict)
    """The window, by process."""
    imbalances: Sequence[str] = ()
    open_chords: int = 0
    publications: int = 0


def gather(folder: Path, *, is_deployed: bool = False) -> Evidence:
    books = Tally.objects.aggregate(accepted=Sum("accepted"), finished=Sum("finished"), pruned=Sum("pruned"))
    return Evidence(
        entries=journal.read(folder / "journal"),
        outcomes={row.task_id: _outcome(row) for row in TaskResult.objects.iterator()},
        in_flight={
            row.pk: Waiting(task=row.task, state=row.state, parent=row.parent_id) for row in Message.objects.iterator()
        },
        starts=traces.starts(folder),
        attempts=traces.attempts(folder),
        interrupted=_interrupted(folder / "log") if is_deployed else None,
        effects=traces.effects(),
        seen=_seen(folder / "outcomes.log"),
        letters=Counter(DeadLetter.objects.values_list("task_id", flat=True)),
        accepted=books["accepted"] or 0,
        finished=books["finished"] or 0,
        discarded=books["pruned"] or 0,
        died_in_windows=windows.deaths(folder),
        imbalances=[*_imbalances(folder / "books.log"), *_imbalances_now()],
        open_chords=ChordCounter.objects.count(),
        publications=Outbox.objects.count(),
    )


def _outcome(row: TaskResult) -> Outcome:
    meta = json.loads(row.meta or "{}")
    return Outcome(
        status=row.status,
        task=row.task_name or "",
        value=json.loads(row.result) if row.result else None,
        parent=meta.get("parent_id"),
        reason=meta.get("reason"),
        runs=meta.get("runs") or 0,
        created_at=row.date_created,
        done_at=row.date_done,
        signature=watch.signature(row),
    )


def _interrupted(logs: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for path in logs.glob("*.log"):
        found.update(re.findall(r"(\S+) was interrupted", path.read_text(errors="replace")))
    return found


def _seen(path: Path) -> dict[str, set[str]]:
    seen = defaultdict(set)
    for line in _lines(path):
        _, task_id, is_then = line.split(" ", 2)
        seen[task_id].add(is_then)
    return dict(seen)


def _imbalances(path: Path) -> list[str]:
    """What the watch found while the run went on: each time that the books ceased to balance."""
    found, balanced = [], True
    for each in map(json.loads, _lines(path)):
        if balanced and not each["balances"]:
            found.append(f"at {each['at']}: {' '.join(each['verdict'])}")
        balanced = each["balances"]
    return found


def _imbalances_now() -> list[str]:
    now = audit.audit()
    return [] if now.balances else [f"in the end: {' '.join(now.verdict)}"]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
