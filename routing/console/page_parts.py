"""What the pages of a task are made of, whether it is finished or in flight."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.urls import reverse
from django.utils.translation import gettext as _
from django_celery_results.models import TaskResult

from routing import sensitive
from routing.console import traceback_frames
from routing.console.result_rows import ResultRow, Span, StateWord, state_word
from routing.console.traceback_frames import Piece
from routing.ledger.lookup import messages

if TYPE_CHECKING:
    from routing.console.flow import Flow

SHOWN = 200_000
"""Characters of one value that a page shows; what is left out is said."""
FOLDED = 1_500
"""A value longer than this starts folded."""
RUNS = 5
_RUN_COLUMNS = ("status", "date_created", "date_started", "date_done")


@dataclass(frozen=True)
class Step:
    """A moment in the task's life, and how long it took to get there from the one before."""

    name: str
    at: datetime
    after: Span | None = None


@dataclass(frozen=True)
class Value:
    """A text to show as it is, in a monospaced box."""

    name: str
    text: str
    length: int
    folded: bool
    pieces: tuple[Piece, ...] = ()
    """Of a traceback: the same text, by frames."""
    payload: bool = False
    """It is what a task was called with, or came to."""

    @property
    def left_out(self) -> int:
        return self.length - len(self.text)


@dataclass(frozen=True)
class Failure:
    type: str
    message: str


@dataclass(frozen=True)
class Relative:
    """Another task of the same flow. ``url`` is empty where its row is gone, or never was."""

    role: str
    task_id: str
    name: str = ""
    state: StateWord | None = None
    url: str = ""


@dataclass(frozen=True)
class Run:
    url: str
    state: StateWord
    enqueued: datetime
    ran: Span | None


@dataclass(frozen=True)
class Runs:
    """The last ones of the same task; ``url`` lists all that have finished."""

    url: str = ""
    last: tuple[Run, ...] = ()


@dataclass(frozen=True)
class TaskPage:
    state: StateWord
    headline: str
    steps: list[Step]
    pending: Span | None
    """How long it has waited or run by now, where it has not finished."""
    failure: Failure | None
    values: list[Value]
    facts: list[tuple[str, str]]
    relatives: list[Relative]
    nothing: str
    """What to say where there are no values."""
    flow: "Flow | None" = None
    runs: "Runs | None" = None
    removed: str = ""
    """That there were some, and why they are gone."""


def started(attempt: Any) -> str:
    return _("Started, attempt %(attempt)s") % {"attempt": attempt} if attempt not in (None, 1) else _("Started")


def value(
    name: str, stored: str | None, *, empty: Any, folds: bool | None = None, payload: bool = True
) -> Iterator[Value]:
    """Nothing where it is absent or ``empty``; ``folds`` False or True where its length shall not decide."""
    if stored is None or parsed(stored) == empty:
        return
    yield text(name, pretty(stored), folds=folds, payload=payload)


def text(name: str, words: str, *, folds: bool | None = None, payload: bool = False) -> Value:
    is_folded = len(words) > FOLDED if folds is None else folds
    return Value(name, words[:SHOWN], len(words), folded=is_folded, payload=payload)


def pretty(stored: str) -> str:
    """Indented JSON, with what is sealed masked; where it is none, or too long to be worth it, as it is stored."""
    if len(stored) > SHOWN:
        return stored
    try:
        return json.dumps(sensitive.hidden(json.loads(stored)), indent=2, ensure_ascii=False)
    except ValueError:
        return stored


def parsed(stored: str | None) -> Any:
    """What the JSON says; the text itself where it is none."""
    try:
        return json.loads(stored or "null")
    except ValueError:
        return stored


def relatives(roles: Iterable[tuple[str, str]], *, but: str) -> list[Relative]:
    """The other tasks of a flow, given as (role, task id). One query for those in flight, one for the finished."""
    wanted = [(role, task_id) for role, task_id in roles if task_id != but]
    ids = {task_id.replace("\0", "") for _role, task_id in wanted}
    if not ids:
        return []
    # In this order: one that ends in between is then found twice, and else it would not be at all.
    in_flight = {row.pk: row for row in messages().filter(pk__in=ids).only("task", "state")}
    results = TaskResult.objects.filter(task_id__in=ids).only("task_id", "task_name", "status")
    finished = {row.task_id: row for row in results}
    return [relative(role, task_id, finished.get(task_id) or in_flight.get(task_id)) for role, task_id in wanted]


def relative(role: str, task_id: str, row: Any) -> Relative:
    if row is None:
        return Relative(role, task_id)
    if isinstance(row, TaskResult):
        return Relative(role, task_id, row.task_name or task_id, state_word(row.status), result_url(row.pk))
    return Relative(role, task_id, row.task, state_word(row.state), message_url(task_id))


def traceback(name: str, words: str) -> Value:
    """Open however long it is: it is what people come for."""
    shown = text(name, words, folds=False)
    return replace(shown, pieces=tuple(traceback_frames.pieces(shown.text)))


def runs(task: str | None, *, but: str) -> Runs:
    """By the index that begins with the task's name."""
    if not task:
        return Runs()
    rows = TaskResult.objects.filter(task_name=task).exclude(task_id=but).order_by("-date_created", "-pk")
    last = [ResultRow(row) for row in rows.only(*_RUN_COLUMNS)[:RUNS]]
    url = f"{reverse('admin:django_celery_results_taskresult_changelist')}?{urlencode({'task': task})}"
    return Runs(url, tuple(Run(result_url(each.row.pk), each.state, each.row.date_created, each.ran) for each in last))


def ancestors(root: Any, parent: Any) -> Iterator[tuple[str, str]]:
    if root and root != parent:
        yield _("First task of the flow"), str(root)
    if parent:
        yield _("Enqueued by"), str(parent)


def replays(replay_of: Any, replayed_as: Any) -> Iterator[tuple[str, str]]:
    if replay_of:
        yield _("Replay of"), str(replay_of)
    if replayed_as:
        yield _("Replayed as"), str(replayed_as)


def result_url(key: Any) -> str:
    return reverse("admin:django_celery_results_taskresult_change", args=[key])


def message_url(task_id: str) -> str:
    return reverse("admin:routing_message_change", args=[quote(task_id)])
