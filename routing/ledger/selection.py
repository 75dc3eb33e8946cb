"""Selection: which rows an operator means, by task, domain, queue, state, age and error; walked in small batches."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

from celery import states
from django.db.models import Count, Model, Q, QuerySet
from django_celery_results.models import TaskResult

from routing.ledger import database
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message

Row = TypeVar("Row", bound=Model)

BATCH = 500
"""Rows of one batch: what one short transaction changes."""
GROUPS = 20
"""Groups that a summary names; the rest it only counts."""
IN_FLIGHT = (states.PENDING, states.STARTED, states.RETRY, REPLACED)
FAILED = (states.FAILURE,)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is left out narrows nothing. ``task`` may hold ``*``; ``error`` is a part of the error, in either case.

    ``ids`` are task ids. Ages count from enqueueing, for what has ended from its end.
    """

    task: str = ""
    domain: str = ""
    queue: str = ""
    state: str = ""
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    error: str = ""
    ids: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        return not any(getattr(self, one.name) for one in fields(self))

    def in_flight(self, *, at: datetime) -> "QuerySet[Message]":
        """Tasks that were in flight at this moment of the database's clock, and still are.

        STARTED are all that run, also those whose bodies tell a word of their own.
        """
        rows = Message.objects.using(database.using()).filter(
            self._named("task"), self._equal("domain"), self._equal("queue"), self._aged("created_at", at)
        )
        if self.state == states.STARTED:
            rows = rows.exclude(state__in=set(IN_FLIGHT) - {self.state})
        elif self.state:
            rows = rows.filter(state=self.state)
        if self.error:
            rows = rows.filter(error__icontains=self.error)
        return rows.filter(pk__in=self.ids) if self.ids else rows

    def failures(self, *, at: datetime) -> "QuerySet[TaskResult]":
        """Results of tasks that had failed for good by this moment of the database's clock."""
        rows: QuerySet[TaskResult] = TaskResult.objects.using(database.using()).filter(
            self._named("task_name"), self._aged("date_done", at), status=self.state or states.FAILURE
        )
        for name, value in (("domain", self.domain), ("queue", self.queue)):
            if value:
                # As the settlement writes it, on either database.
                rows = rows.filter(meta__contains=f'"{name}": {json.dumps(value)}')
        if self.error:
            rows = rows.filter(Q(result__icontains=json.dumps(self.error)[1:-1]) | Q(traceback__icontains=self.error))
        return rows.filter(task_id__in=self.ids) if self.ids else rows

    def _equal(self, name: str) -> Q:
        value = getattr(self, name)
        return Q(**{name: value}) if value else Q()

    def _named(self, column: str) -> Q:
        if not self.task:
            return Q()
        if "*" not in self.task:
            return Q(**{column: self.task})
        begin, _, rest = self.task.partition("*")
        if not rest:
            return Q(**{f"{column}__startswith": begin})
        pattern = ".*".join(re.escape(part) for part in self.task.split("*"))
        return Q(**{f"{column}__regex": f"^{pattern}$"})

    def _aged(self, column: str, at: datetime) -> Q:
        # Never what came later: what is replayed and fails again would be replayed again by the same run, for ever.
        until = at - self.older_than if self.older_than else at
        aged = Q(**{f"{column}__lte": until})
        return aged & Q(**{f"{column}__gt": at - self.newer_than}) if self.newer_than else aged


def batches(rows: "QuerySet[Row]", *, size: int = BATCH) -> Iterator[list[Any]]:
    """Primary keys, a few at a time in memory, each once and in order.

    Whoever stops and selects again goes on where he was, as what is done to a row takes it out of the selection.
    """
    last: Any = None
    while True:
        ahead = rows if last is None else rows.filter(pk__gt=last)
        keys = list(ahead.order_by("pk").values_list("pk", flat=True)[:size])
        if not keys:
            return
        yield keys
        last = keys[-1]


@dataclass(frozen=True)
class Group:
    """Rows that are alike in some columns: what they have there, and how many they are."""

    values: dict[str, Any]
    count: int


@dataclass(frozen=True)
class Summary:
    """``groups``: the largest; ``total`` counts the others, too."""

    total: int
    groups: tuple[Group, ...]

    @property
    def unnamed(self) -> int:
        return self.total - sum(group.count for group in self.groups)


def summary(rows: QuerySet[Any], *, by: tuple[str, ...]) -> Summary:
    """Counted in the database."""
    counted = rows.order_by().values(*by).annotate(rows_alike=Count("pk")).order_by("-rows_alike", *by)[:GROUPS]
    groups = tuple(Group({name: row[name] for name in by}, row["rows_alike"]) for row in counted)
    return Summary(rows.count() if len(groups) == GROUPS else sum(group.count for group in groups), groups)
