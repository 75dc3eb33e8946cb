"""What a task in flight says to people: its state in words, where it is, how long it has waited and run."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from celery import states
from django.utils import timezone

from routing.console.result_rows import Span, StateWord, state_word
from routing.domains import Domain, registry
from routing.ledger import database
from routing.ledger.tables import Message, Process

WAITING = (states.PENDING, states.RETRY)


class MessageRow:
    """Reads a Message; asks the database nothing."""

    def __init__(self, row: Message, *, worker: Process | None = None, at: datetime | None = None) -> None:
        self.row = row
        self.worker = worker
        self.at = at or timezone.now()

    @cached_property
    def domain(self) -> Domain | None:
        return next((domain for domain in registry() if domain.name == self.row.domain), None)

    @property
    def state(self) -> StateWord:
        return state_word(self.row.state)

    @property
    def running(self) -> bool:
        """Whether somebody owns it; its state may be one that the task made up."""
        return self.row.owner is not None

    @property
    def worker_name(self) -> str:
        return (self.worker.name or str(self.worker)) if self.worker else ""

    @property
    def waited(self) -> Span:
        """From enqueueing to the latest start; until now where it waits."""
        if self.running and self.row.started_at:
            return Span(max(self.row.started_at - self.row.created_at, timedelta()))
        return Span(max(self.at - self.row.created_at, timedelta()), open=True)

    @property
    def ran(self) -> Span | None:
        """The run that goes on."""
        if not self.running or self.row.started_at is None:
            return None
        return Span(max(self.at - self.row.started_at, timedelta()), open=True)

    @property
    def due_later(self) -> bool:
        return not self.running and self.row.due_at > self.at


def workers_of(rows: Iterable[Message]) -> dict[int, Process]:
    """The processes that own them, in one query."""
    owners = {row.owner for row in rows if row.owner is not None}
    return Process.objects.using(database.using()).in_bulk(owners) if owners else {}


def worker_of(row: Message) -> Process | None:
    return workers_of([row]).get(row.owner) if row.owner is not None else None


def error_of(row: Message) -> dict[str, Any]:
    """The last error, as far as it was noted: ``type`` and ``message``."""
    kind, colon, message = (row.error or "").strip().partition(": ")
    # “ValueError: no such order”; a sentence of ours may have a colon further on.
    if colon and kind.replace(".", "").replace("_", "").isalnum():
        return {"type": kind, "message": message}
    return {"type": row.state, "message": (row.error or "").strip()}
