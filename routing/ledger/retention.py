"""Pruning: what is past its retention goes, in short transactions that neither block workers nor fill memory.

Never a task without an outcome, however old: it may wait for a pool that has been down for weeks. The weekly report
names such tasks. What goes is counted in the books by the transaction that removes it.

Rows go by primary key and past Django's collector: a ``post_delete`` receiver anywhere would make it load every row.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from celery import states
from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.db import connections, router, transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django_celery_results.models import ChordCounter, GroupResult, TaskResult

from routing.domains import Retention, registry
from routing.ledger import tally, terminations
from routing.ledger.chords import lost_chords
from routing.ledger.results import read_meta
from routing.ledger.tables import DeadLetter, Message, UniqueKey

logger = logging.getLogger(__name__)

BATCH = 1000
"""Rows of one transaction, which so takes some 10 ms."""
BUDGET = timedelta(minutes=10)
"""Well below the domain's soft time limit. What is left over goes the next night."""


@dataclass(frozen=True)
class Pruned:
    """Rows removed by kind; ``complete`` is false if time ran out with rows left over."""

    removed: dict[str, int]
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        return {"removed": self.removed, "complete": self.complete}


class Expired(Protocol):
    """Rows of one kind that are past their time."""

    kind: str

    def count(self) -> int: ...

    def remove(self, limit: int) -> int:
        """Remove up to ``limit`` rows in one transaction, and return how many went."""


def prune(*, now: datetime, batch: int = BATCH, budget: timedelta = BUDGET) -> Pruned:
    """Remove everything that is past its retention. Safe to call again, also twice at once."""
    deadline = time.monotonic() + budget.total_seconds()
    tally.roll_up()
    removed: dict[str, int] = {}
    for expired in everything_expired(now):
        removed[expired.kind] = 0
        while count := expired.remove(batch):
            removed[expired.kind] += count
            if time.monotonic() > deadline:
                return _told(Pruned(removed, complete=False))
    return _told(Pruned(removed))


def preview(*, now: datetime) -> dict[str, int]:
    """How many rows ``prune`` would remove, by kind."""
    return {expired.kind: expired.count() for expired in everything_expired(now)}


def everything_expired(now: datetime) -> Iterator[Expired]:
    # Chords first: what became of one is read from its members' results, which may be next to go.
    yield Rows("lost chords", ChordCounter.objects.filter(pk__in=lost_chords(now)), by="pk")
    yield from _results(now)
    yield from _dead_letters(now)
    yield Rows("unique keys", _ended_keys(now), by="pk")
    yield Rows("terminations", terminations.old(now), by="pk")
    yield Rows("groups", GroupResult.objects.filter(date_done__lt=now - _longest_retention()), by="date_done")
    if apps.is_installed("django.contrib.sessions"):
        sessions = apps.get_model("sessions", "Session")
        yield Rows("sessions", sessions._default_manager.filter(expire_date__lt=now), by="expire_date")
    yield from _caches(now)


@dataclass
class Rows:
    """Rows of a model, walked in the order of the indexed column ``by``."""

    kind: str
    rows: QuerySet[Any]
    by: str
    _reached: Any = field(default=None, init=False)

    def count(self) -> int:
        return self.rows.count()

    def remove(self, limit: int) -> int:
        using = router.db_for_write(self.rows.model)
        # Begin where the last batch ended: what precedes it is kept, or is dead and still in the index.
        ahead = Q() if self._reached is None else Q(**{f"{self.by}__gte": self._reached})
        with transaction.atomic(using=using):
            # A second clean-up passes over what this one holds, so that neither waits for the other.
            found = list(
                self.rows.using(using)
                .filter(ahead)
                .order_by(self.by)
                .select_for_update(skip_locked=True)
                .values_list("pk", self.by)[:limit]
            )
            if not found:
                return 0
            self._reached = found[-1][1]
            return self._delete([key for key, _ in found], using=using)

    def _delete(self, keys: list[Any], *, using: str) -> int:
        return _delete(self.rows.model, keys, using=using)


class ResultRows(Rows):
    """Results, which the books hear of: those that were settled from the ledger say for which domain."""

    def _delete(self, keys: list[Any], *, using: str) -> int:
        rows = TaskResult.objects.using(using).filter(pk__in=keys).only("meta")
        domains = Counter(read_meta(row).get("domain") for row in rows.iterator())
        # No other clean-up removes them meanwhile: the transaction holds them.
        for domain, count in domains.items():
            if isinstance(domain, str):
                tally.pruned(domain, count)
        return super()._delete(keys, using=using)


class CacheRows:
    """Entries past their time of a cache that Django keeps in a table."""

    def __init__(self, alias: str, cache: DatabaseCache, now: datetime) -> None:
        self.kind = f"cache entries ({alias})"
        self._connection = connections[router.db_for_write(cache.cache_model_class)]
        quote = self._connection.ops.quote_name
        self._table, self._key, self._expires = quote(_table_of(cache)), quote("cache_key"), quote("expires")
        self._now = self._connection.ops.adapt_datetimefield_value(now.replace(microsecond=0))

    def count(self) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {self._table} WHERE {self._expires} < %s", [self._now])
            return int(cursor.fetchone()[0])

    def remove(self, limit: int) -> int:
        locking = "FOR UPDATE SKIP LOCKED" if self._connection.features.has_select_for_update_skip_locked else ""
        expired = (
            f"SELECT {self._key} FROM {self._table} WHERE {self._expires} < %s "
            f"ORDER BY {self._expires} LIMIT %s {locking}"
        )
        with self._connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table} WHERE {self._key} IN ({expired})", [self._now, limit])
            return int(cursor.rowcount)


def _caches(now: datetime) -> Iterator[CacheRows]:
    """Nothing to do where a cache lives elsewhere, or its table was never made."""
    for alias in settings.CACHES:
        cache = caches[alias]
        if isinstance(cache, DatabaseCache) and _has_table(cache):
            yield CacheRows(alias, cache, now)


def _has_table(cache: DatabaseCache) -> bool:
    connection = connections[router.db_for_write(cache.cache_model_class)]
    return _table_of(cache) in connection.introspection.table_names()


def _table_of(cache: DatabaseCache) -> str:
    return str(cache.cache_model_class._meta.db_table)


def _delete(model: type[Model], keys: list[Any], *, using: str) -> int:
    return int(model._base_manager.filter(pk__in=keys)._raw_delete(using) or 0)


def _dead_letters(now: datetime) -> Iterator[Rows]:
    """Dead letters by their domain's retention of failures; those of a domain that is gone by the default one."""
    kept = {domain.name: domain.retention.failure for domain in registry()}
    for domain, age in kept.items():
        letters = DeadLetter.objects.filter(domain=domain, dead_at__lt=now - age)
        yield Rows(f"{domain} dead letters", letters, by="dead_at")
    others = DeadLetter.objects.exclude(domain__in=kept).filter(dead_at__lt=now - Retention().failure)
    yield Rows("other dead letters", others, by="dead_at")


def _ended_keys(now: datetime) -> QuerySet[UniqueKey]:
    """Keys whose period is over, and whose task is too."""
    # An enqueuing that takes the key over sets another period in the row, and who waits for it looks again.
    in_flight = Exists(Message.objects.filter(pk=OuterRef("task_id")))
    return UniqueKey.objects.filter(~in_flight, expires_at__lt=now)


def _results(now: datetime) -> Iterator[Rows]:
    """Results by the retention of the domain that claims the task; those that none claims by the default one."""
    claimed: set[str] = set()
    names = _task_names()
    for domain in registry():
        own = {name for name in names if registry().of_task(name) is domain}
        claimed |= own
        yield from _outcomes(domain.name, Q(task_name__in=own), domain.retention, now)
    unclaimed = Q(task_name__in=names - claimed) | Q(task_name=None)
    yield from _outcomes("other", unclaimed, Retention(), now)


def _task_names() -> set[str]:
    names = TaskResult.objects.exclude(task_name=None).order_by().values_list("task_name", flat=True).distinct()
    return set(names)


def _outcomes(domain: str, tasks: Q, retention: Retention, now: datetime) -> Iterator[Rows]:
    """What a worker recorded as REVOKED counts as a failure: somebody may still ask why it did not run."""
    success = Q(status__in=(states.SUCCESS, states.IGNORED))
    failure = Q(status__in=(states.FAILURE, states.REVOKED))
    for outcome, status, age in (("successes", success, retention.success), ("failures", failure, retention.failure)):
        rows = TaskResult.objects.filter(tasks, status, date_done__lt=now - age)
        yield ResultRows(f"{domain} {outcome}", rows, by="date_done")


def _longest_retention() -> timedelta:
    """A group goes when no result of a member can be left."""
    kept = [Retention(), *(domain.retention for domain in registry())]
    return max(age for retention in kept for age in (retention.success, retention.failure))


def _told(pruned: Pruned) -> Pruned:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in pruned.removed.items() if count) or "nothing"
    logger.info("Clean-up removed %s%s", kinds, "" if pruned.complete else "; time ran out with rows left over")
    return pruned
