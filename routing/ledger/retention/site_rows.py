"""What Django keeps in the database: sessions, and caches that live in a table."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.db import connections, router
from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from routing.ledger.retention.kinds import Batch, Counts, Kind, Rows, What


def expired(now: datetime) -> Iterator[Kind]:
    """Nothing to do where a cache lives elsewhere, or its table was never made."""
    if apps.is_installed("django.contrib.sessions"):
        yield Sessions(now)
    for alias in settings.CACHES:
        cache = caches[alias]
        if isinstance(cache, DatabaseCache) and _has_table(cache):
            yield CacheEntries(alias, cache, now)


class Sessions(Rows):
    kind = gettext_noop("sessions")
    by = "expire_date"

    def rows(self) -> QuerySet[Any]:
        sessions = apps.get_model("sessions", "Session")
        return sessions._default_manager.filter(expire_date__lt=self.now)


class CacheEntries:
    """Django has no model for them."""

    def __init__(self, alias: str, cache: DatabaseCache, now: datetime) -> None:
        self._what = What("cache entries" if alias == "default" else f"cache entries ({alias})")
        self.using = str(router.db_for_write(cache.cache_model_class))
        self._connection = connections[self.using]
        quote = self._connection.ops.quote_name
        self._table, self._key, self._expires = quote(_table_of(cache)), quote("cache_key"), quote("expires")
        # Django writes whole seconds.
        self._now = self._connection.ops.adapt_datetimefield_value(now.replace(microsecond=0))

    def count(self) -> Counts:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {self._table} WHERE {self._expires} < %s", [self._now])
            return Counter({self._what: int(cursor.fetchone()[0])})

    def batch(self, limit: int) -> Batch:
        locking = "FOR UPDATE SKIP LOCKED" if self._connection.features.has_select_for_update_skip_locked else ""
        expired = (
            f"SELECT {self._key} FROM {self._table} WHERE {self._expires} < %s "
            f"ORDER BY {self._expires} LIMIT %s {locking}"
        )
        with self._connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table} WHERE {self._key} IN ({expired})", [self._now, limit])
            count = int(cursor.rowcount)
        return Batch(Counter({self._what: count}), last=count < limit)


def _has_table(cache: DatabaseCache) -> bool:
    connection = connections[router.db_for_write(cache.cache_model_class)]
    return _table_of(cache) in connection.introspection.table_names()


def _table_of(cache: DatabaseCache) -> str:
    return str(cache.cache_model_class._meta.db_table)
