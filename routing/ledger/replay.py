"""Replay, discard, restore: what people decide about dead letters. Each decision is made once, whoever asks at once.

A replay is a new task: with new ids for itself and for all that is still to follow it, newly accepted, its runs counted
anew. It, the links between old and new, and the mark on the dead letter are one transaction.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import current_app
from django.db import transaction
from django_celery_results.models import TaskResult

from routing import faults
from routing.domains import Domain, registry
from routing.ledger import database, wake
from routing.ledger.enqueue import Envelope, enqueue
from routing.ledger.rejoining import rejoin
from routing.ledger.renewal import NotATask, Renewal, change_arguments, renew
from routing.ledger.results import read_meta
from routing.ledger.tables import DeadLetter

REPLAYED_AS, REPLAY_OF = "replayed_as", "replay_of"
"""In the ``meta`` of a result: the id of its replay, and of what it is a replay of."""
IN_MEMORY = 50
"""Dead letters whose bodies are in memory together, and that one transaction replays."""
MARKS = {"state": "text", "decided_by": "text", "decided_at": "timestamptz", "replayed_as": "text", "history": "text"}
State = DeadLetter.State
REPLAYED, DISCARDED, RESTORED = "replayed", "discarded", "open again"
DECIDED = "left, as somebody has decided about them already"
NO_TASK = "left, as there is no task in them that could run: see dead_letters show"
NO_QUEUE = "left, as no domain has a queue for their task: see project/domains.py"


@dataclass(frozen=True)
class Mark:
    """What a letter is from now on, and by whom. What is open again has been decided about by nobody."""

    state: DeadLetter.State
    by: str
    new_id: str = ""
    edited: bool = False

    def columns(self, now: datetime) -> tuple[Any, ...]:
        if self.state == State.OPEN:
            return (self.state.value, "", None, "")
        return (self.state.value, self.by[:150], database.parameter(now), self.new_id)

    def history(self, letter: DeadLetter, now: datetime) -> str:
        event: dict[str, Any] = {"at": now.isoformat(timespec="seconds"), "event": self.word, "by": self.by}
        event |= {"as": self.new_id} if self.new_id else {}
        event |= {"edited": True} if self.edited else {}
        return json.dumps([*json.loads(letter.history), event])

    @property
    def word(self) -> str:
        return "restored" if self.state == State.OPEN else self.state.value


def replay(keys: Sequence[int], *, by: str) -> Counter[str]:
    """Replay what is open or was discarded. How many came to what."""
    return _in_parts(keys, lambda part: _replay(part, by))


def discard(keys: Sequence[int], *, by: str) -> Counter[str]:
    """Mark what is open; it stays until its time is over (routing/ledger/retention.py). How many came to what."""
    return _in_parts(keys, lambda part: _discard(part, by))


def restore(keys: Sequence[int], *, by: str) -> Counter[str]:
    """Take back that they were discarded: they are open, as before. How many came to what."""
    return _in_parts(keys, lambda part: _restore(part, by))


def replay_edited(key: int, *, args: list[Any], kwargs: dict[str, Any], by: str) -> Counter[str]:
    """Replay one with other arguments. It keeps those that it had, and its history says that its replay has others."""
    return _replay([key], by, edit=lambda renewal: change_arguments(renewal, args, kwargs))


def _in_parts(keys: Sequence[int], decide: Callable[[Sequence[int]], Counter[str]]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for start in range(0, len(keys), IN_MEMORY):
        outcomes.update(decide(keys[start : start + IN_MEMORY]))
    return +outcomes


def _replay(keys: Sequence[int], by: str, *, edit: Callable[[Renewal], None] | None = None) -> Counter[str]:
    with database.atomic():
        replayed, outcomes = _renewed(_held(keys, State.OPEN, State.DISCARDED))
        if edit is not None:
            for _, renewal in replayed:
                edit(renewal)
        rejoin([renewal for _, renewal in replayed])
        enqueue([_envelope(letter, renewal) for letter, renewal in replayed])
        _link_results([renewal for _, renewal in replayed])
        marks = [Mark(State.REPLAYED, by, renewal.id, edited=edit is not None) for _, renewal in replayed]
        _mark([letter for letter, _ in replayed], marks)
        faults.point("replay.written")
        transaction.on_commit(wake.wake, using=database.using())
    faults.point("replay.committed")
    outcomes[REPLAYED] = len(replayed)
    outcomes[DECIDED] = len(keys) - outcomes.total()
    return outcomes


def _renewed(letters: Iterable[DeadLetter]) -> tuple[list[tuple[DeadLetter, Renewal]], Counter[str]]:
    """Those that can be replayed, and how many cannot for which reason."""
    replayed, refused = [], Counter[str]()
    for letter in letters:
        if _home(letter) is None:
            refused[NO_QUEUE] += 1
            continue
        try:
            replayed.append((letter, renew(letter)))
        except NotATask:
            refused[NO_TASK] += 1
    return replayed, refused


def _discard(keys: Sequence[int], by: str) -> Counter[str]:
    with database.atomic():
        letters = _held(keys, State.OPEN)
        _mark(letters, [Mark(State.DISCARDED, by)] * len(letters))
    return Counter({DISCARDED: len(letters), DECIDED: len(keys) - len(letters)})


def _restore(keys: Sequence[int], by: str) -> Counter[str]:
    with database.atomic():
        letters = _held(keys, State.DISCARDED)
        _mark(letters, [Mark(State.OPEN, by)] * len(letters))
    return Counter({RESTORED: len(letters), DECIDED: len(keys) - len(letters)})


def _held(keys: Sequence[int], *states: DeadLetter.State) -> list[DeadLetter]:
    """In one order, so that two who want the same wait for each other, and the second finds nothing left to decide.

    Without their bytes, which another program may have made as large as RabbitMQ takes: each loads its own.
    """
    rows = DeadLetter.objects.using(database.using()).filter(pk__in=keys, state__in=states)
    return list(rows.select_for_update().defer("raw").order_by("pk"))


def _home(letter: DeadLetter) -> tuple[Domain, str] | None:
    """Domain and queue: those it had, or else its task's own."""
    if (domain := registry().of_queue(letter.queue)) is not None:
        return domain, letter.queue
    domain = registry().of_task(letter.task) if letter.task else None
    return (domain, domain.queue()) if domain is not None else None


def _envelope(letter: DeadLetter, renewal: Renewal) -> Envelope:
    home = _home(letter)
    assert home is not None  # noqa: S101  (those without were refused)
    domain, queue = home
    return Envelope(
        id=renewal.id,
        task=letter.task,
        domain=domain.name,
        queue=queue,
        headers=json.dumps(renewal.headers),
        properties=json.dumps(renewal.properties),
        body=renewal.body,
        at_most_once=bool(getattr(current_app.tasks.get(letter.task), "at_most_once", False)),
        root_id=renewal.headers["root_id"],
        parent_id=renewal.headers.get("parent_id"),
    )


def _link_results(renewals: Sequence[Renewal]) -> None:
    """Of the task, and of what would have followed it: an outcome stays as it was, and tells what came after it."""
    ids = {old: new for renewal in renewals for old, new in renewal.ids.items()}
    rows = list(TaskResult.objects.using(database.using()).filter(task_id__in=ids).only("task_id", "meta"))
    metas = [(row.pk, json.dumps({**read_meta(row), REPLAYED_AS: ids[row.task_id]})) for row in rows]
    database.set_columns("django_celery_results_taskresult", {"meta": "text"}, metas)


def _mark(letters: Sequence[DeadLetter], marks: Sequence[Mark]) -> None:
    now = database.now()
    marked = [
        (letter.pk, *mark.columns(now), mark.history(letter, now)) for letter, mark in zip(letters, marks, strict=True)
    ]
    # The rows are locked. Django's bulk_update would take most of the time of a replay.
    database.set_columns("routing_deadletter", MARKS, marked)
