"""Which rows a job is for: written down with the job, and read from there a batch at a time."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.db.models import QuerySet
from django_celery_results.models import TaskResult

from routing.console.searching import finished, in_flight, pages
from routing.console.searching import written as terms
from routing.console.searching.finished import Question
from routing.console.searching.pages import Page, Place
from routing.ledger import causes, database, lookup
from routing.ledger.results import task_names
from routing.ledger.tables import DeadLetter, Message

LAST_KEY = 10**18 - 1
"""Behind any row of the same moment."""
SECONDS = 2.0
"""For a batch of a search with terms that no index serves; what was looked at by then is behind it."""


@dataclass(frozen=True)
class Batch:
    """``keys`` of the next rows, ``position`` behind them, and how many rows were looked at to find them."""

    keys: Sequence[Any]
    position: str
    seen: int
    last: bool


class Scope(Protocol):
    def batch(self, position: str, size: int) -> Batch:
        """The next rows behind this place; from the first where it is empty."""


@dataclass(frozen=True)
class OfCause:
    """Letters of one cause that were there when it was asked: with numbers up to ``until``, in this state."""

    fingerprint: str
    state: str
    until: int

    def batch(self, position: str, size: int) -> Batch:
        after = int(position or 0)
        if self.state == DeadLetter.State.OPEN:
            rows = causes.open_letters(self.fingerprint, after=after, until=self.until)
        else:
            rows = DeadLetter.objects.using(database.using()).filter(
                fingerprint=self.fingerprint, state=self.state, pk__gt=after, pk__lte=self.until
            )
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:size])
        return Batch(keys, str(keys[-1]) if keys else position, len(keys), last=len(keys) < size)


@dataclass(frozen=True)
class Finished:
    """Results that a search found, the newest first: enqueued before ``at``. Of each its task's id."""

    terms: list[dict[str, Any]]
    at: str

    @property
    def question(self) -> Question:
        return finished.question(terms.read(self.terms), names=task_names)

    def page(self, position: str, size: int) -> Page:
        place = Place.read(position) or Place(datetime.fromisoformat(self.at), LAST_KEY)
        rows = TaskResult.objects.using(database.using())
        return pages.read(pages.Reading(rows, self.question, place), size=size, seconds=SECONDS)

    def batch(self, position: str, size: int) -> Batch:
        page = self.page(position, size)
        keys = [row.task_id for row in page.rows]
        return Batch(keys, str(page.older or position), len(keys), last=page.older is None)


@dataclass(frozen=True)
class InFlight:
    """Tasks in flight that a search found, enqueued before ``at``. ``options`` are those of what is done to them."""

    terms: list[dict[str, Any]]
    narrowed: dict[str, str]
    at: str
    options: dict[str, Any] = field(default_factory=dict)

    def rows(self) -> "QuerySet[Message]":
        at = datetime.fromisoformat(self.at)
        found = lookup.messages().filter(in_flight.whole(terms.read(self.terms), now=at), created_at__lte=at)
        return found.filter(**self.narrowed)

    def batch(self, position: str, size: int) -> Batch:
        ahead = self.rows().filter(pk__gt=position) if position else self.rows()
        keys = list(ahead.order_by("pk").values_list("pk", flat=True)[:size])
        return Batch(keys, keys[-1] if keys else position, len(keys), last=len(keys) < size)


KINDS: dict[str, Any] = {"cause": OfCause, "finished": Finished, "in flight": InFlight}


def written(scope: Any) -> str:
    (kind,) = (name for name, each in KINDS.items() if isinstance(scope, each))
    return json.dumps({"kind": kind, **asdict(scope)})


def read(text: str) -> Scope:
    document = json.loads(text)
    scope: Scope = KINDS[document.pop("kind")](**document)
    return scope
