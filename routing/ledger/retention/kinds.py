"""What may expire: each kind of rows is one small class, and a clean-up goes through all of them, a window at a time.

An app adds its own in a module that its ``AppConfig.ready`` imports (reporting/retention.py is one):

    @expiring
    class Attempts(Rows):
        kind = "delivery attempts"
        by = "made_at"  # an indexed column

        def rows(self) -> QuerySet[Attempt]:
            return Attempt.objects.filter(made_at__lt=self.now - timedelta(days=90))
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, TypeVar

from django.db import connections, router
from django.db.models import F, Q, QuerySet, TextField
from django.db.models.functions import Cast


@dataclass(frozen=True, order=True, slots=True)
class What:
    """What goes. Some kinds have neither domain nor outcome, and what no domain claims has no domain."""

    kind: str
    domain: str = ""
    outcome: str = ""


Counts = Counter[What]


@dataclass(frozen=True)
class Batch:
    """What one transaction removed, and whether it was the last of its kind."""

    removed: Counts
    last: bool


class Kind(Protocol):
    """Rows of one kind that are past their time."""

    @property
    def using(self) -> str:
        """The database alias that they are in."""

    def count(self) -> Counts:
        """Exactly what batches would remove now."""

    def batch(self, limit: int) -> Batch:
        """Look at the next ``limit`` rows, and remove those that are to go, within the caller's transaction."""


Source = Callable[[datetime], Iterable[Kind]]
_sources: list[Source] = []
R = TypeVar("R", bound="Rows")


def expiring(kind: type[R]) -> type[R]:
    """Have clean-ups remove this kind, too, after those that are listed already."""
    _sources.append(lambda now: [kind(now)])
    return kind


Counting = Callable[[], datetime | None]
_counting: list[Counting] = []


def counted_before_it_goes(count: Counting) -> Counting:
    """Call this before results go. It answers until when all results are counted, if at all; later ones stay."""
    _counting.append(count)
    return count


def counted_until(now: datetime) -> datetime:
    """Which results may go, as far as those are concerned who count them."""
    found = [count() for count in _counting]
    return min((moment or datetime.min.replace(tzinfo=UTC) for moment in found), default=now)


def added(now: datetime) -> Iterator[Kind]:
    for source in _sources:
        yield from source(now)


class Rows:
    """Rows of a model, walked in the order of the indexed column ``by``."""

    kind: ClassVar[str]
    by: ClassVar[str] = "pk"
    labels: ClassVar[tuple[str, ...]] = ()
    """The columns, if any, that tell domain and outcome."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._reached: tuple[Any, Any] | None = None

    def rows(self) -> QuerySet[Any]:
        """All rows to look at."""
        raise NotImplementedError

    def due(self) -> Q:
        """Which of them go; all, if left out."""
        return Q()

    def delete(self, keys: list[Any]) -> None:
        """Past Django's collector: a ``post_delete`` receiver anywhere would make it load every row."""
        self.rows().model._base_manager.filter(pk__in=keys)._raw_delete(self.using)

    @property
    def using(self) -> str:
        return str(router.db_for_write(self.rows().model))

    def count(self) -> Counts:
        return self._counted(self._all().filter(self.due()).order_by().values_list("pk", *self.labels).iterator())

    def batch(self, limit: int) -> Batch:
        ahead = self._ahead()
        end = ahead.order_by("walked_by", "pk").values_list("walked_by", "pk")[limit - 1 : limit].first()
        window = ahead.filter(~_beyond(*end)) if end else ahead
        # A second clean-up passes over what this one holds, so that neither waits for the other.
        due = window.filter(self.due()).order_by("pk").select_for_update(skip_locked=True, of=("self",))
        found = list(due.values_list("pk", *self.labels))
        if found:
            self.delete([row[0] for row in found])
        self._reached = end
        return Batch(self._counted(found), last=end is None)

    def _ahead(self) -> QuerySet[Any]:
        """Begin where the last batch ended: what precedes it is kept, or is dead and still in the index."""
        rows = self._all()
        return rows.filter(_beyond(*self._reached)) if self._reached else rows

    def _all(self) -> QuerySet[Any]:
        # SQLite keeps times as text, with three digits of a second or six, which a time would lose on its way back.
        sqlite = connections[self.using].vendor == "sqlite"
        position: Any = Cast(self.by, TextField()) if sqlite and self.by != "pk" else F(self.by)
        rows: QuerySet[Any] = self.rows().using(self.using).annotate(walked_by=position)
        return rows

    def _counted(self, found: Iterable[tuple[Any, ...]]) -> Counts:
        return Counter(What(self.kind, *(str(label) for label in row[1:])) for row in found)


def _beyond(position: Any, key: Any) -> Q:
    """Behind this place in the order of (position, pk). The first half is what an index serves."""
    return Q(walked_by__gte=position) & (Q(walked_by__gt=position) | Q(pk__gt=key))
