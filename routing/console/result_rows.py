"""What a result row says to people: its domain and queue, its state in words, how long it waited and ran."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from celery import states
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from routing.domains import Domain, registry
from routing.ledger import results
from routing.ledger.enqueue import OUTCOMES


@dataclass(frozen=True)
class StateWord:
    """``value`` is Celery's own name of the state; ``tone`` is a label colour."""

    value: str
    word: str | Promise
    tone: str = ""


STATES = {
    state.value: state
    for state in (
        StateWord(states.PENDING, _("waiting")),
        StateWord(states.STARTED, _("running"), "info"),
        StateWord(states.RETRY, _("waiting to retry"), "warning"),
        StateWord(states.SUCCESS, _("success"), "success"),
        StateWord(states.FAILURE, _("failure"), "danger"),
        StateWord(states.REVOKED, _("revoked"), "warning"),
        StateWord(states.IGNORED, _("ignored")),
    )
}


def state_word(value: str) -> StateWord:
    """Celery lets a task make up states of its own; those are shown as they are."""
    return STATES.get(value) or StateWord(value, value.lower())


@dataclass(frozen=True)
class Span:
    """A length of time, still growing where ``open``."""

    length: timedelta
    open: bool = False


class ResultRow:
    """Reads a TaskResult; asks the database nothing."""

    def __init__(self, row: TaskResult, *, at: datetime | None = None) -> None:
        self.row = row
        self.at = at or timezone.now()

    @cached_property
    def meta(self) -> dict[str, Any]:
        return results.read_meta(self.row)

    @property
    def state(self) -> StateWord:
        return state_word(self.row.status)

    @property
    def queue(self) -> str:
        return str(self.meta.get("queue") or "")

    @property
    def domain(self) -> Domain | None:
        """By the task's name; Celery's built-ins, which no domain claims, by the queue they went to."""
        return registry().of_task(self.row.task_name or "") or registry().of_queue(self.queue)

    @property
    def recorded(self) -> bool:
        return self.row.status in OUTCOMES

    @property
    def done_at(self) -> datetime | None:
        """The end. DCR writes ``date_done`` with every save, so that it means nothing before the outcome."""
        return self.row.date_done if self.recorded else None

    @property
    def waited(self) -> Span | None:
        """From enqueueing to the (last) start; None where the task ended without ever starting."""
        created, started = self.row.date_created, self.row.date_started
        if started:
            # A row first written by the claim is created a moment after its own start.
            return Span(max(started - created, timedelta()))
        return None if self.recorded else Span(self.at - created, open=True)

    @property
    def ran(self) -> Span | None:
        """The last run; None where there is none, or where it ended without an outcome, in a retry."""
        started = self.row.date_started
        if started is None:
            return None
        if self.recorded:
            return Span(max(self.row.date_done - started, timedelta()))
        return Span(self.at - started, open=True) if self.row.status == states.STARTED else None
