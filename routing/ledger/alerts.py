"""Who tells what is wrong, and when: any number of processes look, and one tells each cause once in a window.

All are conditional updates by the database's clock. Whoever wins a cause holds it while it tells. What if it dies?

* Before it has told: the hold runs out, and another one tells it, ``HOLD`` later.
* After it has told, before that is written down: the same, so that it is told twice. The other way round, a cause
  could be lost with the process that had it, and nobody would know; both tellings have the same ``number``.
* A telling that fails gives the cause back, for whoever comes after ``RETRY_AFTER``.
* A cause that comes back while its end is being told: the next look finds it ended, and begins it anew.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from routing.ledger import database
from routing.ledger.alert_tables import Alert

HOLD = timedelta(minutes=3)
"""More than a telling may take."""
RETRY_AFTER = timedelta(minutes=1)
CALM = timedelta(minutes=2)
"""Nobody has seen it for so long: then it is over. What comes and goes meanwhile goes on."""
KEPT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """``after``: how long something has to be wrong. ``window``: for how long it is then not told again."""

    after: timedelta
    window: timedelta


@dataclass(frozen=True)
class Cause:
    name: str
    sentence: str
    began_at: datetime
    number: str
    """Alike each time the same telling is tried."""
    told_before: bool = False


@dataclass(frozen=True)
class Telling:
    """Causes that are this process's to tell; ``ended`` if it is their end."""

    token: str
    causes: tuple[Cause, ...]
    ended: bool = False


def see(channel: str, causes: Mapping[str, str]) -> None:
    """Note what is wrong now: causes, and a sentence for each. Safe to call again, and by several at once."""
    rows = [Alert(channel=channel, cause=cause[:255], sentence=sentence) for cause, sentence in causes.items()]
    _rows(channel).bulk_create(rows, ignore_conflicts=True)
    for row in rows:
        same = _rows(channel).filter(cause=row.cause)
        # One that was over begins anew, but is told again only when its window has passed.
        same.filter(over_at__isnull=False).update(over_at=None, began_at=Now())
        same.update(seen_at=Now(), sentence=row.sentence)


def take(channel: str, *, timing: Timing) -> Telling | None:
    """What is to be told now, and by us."""
    lasts = _free(channel).filter(over_at=None, began_at__lte=Now() - timing.after, seen_at__gt=Now() - CALM)
    return _take(lasts.filter(Q(told_at=None) | Q(told_at__lte=Now() - timing.window)), ended=False)


def take_ended(channel: str, *, unknown: Collection[str] = ()) -> Telling | None:
    """What was told, and is over. Whoever cannot tell of some causes leaves those to others."""
    calm = _free(channel).filter(over_at=None, seen_at__lte=Now() - CALM).exclude(cause__in=unknown)
    # Nobody had heard of it.
    calm.filter(told_at=None).delete()
    return _take(calm.filter(told_at__isnull=False), ended=True)


def told(telling: Telling) -> bool:
    """Write down that it was told. False if it took so long that others may have told it, too."""
    ours = _rows().filter(holder=telling.token)
    if telling.ended:
        return bool(ours.update(over_at=Now(), holder="", held_until=None, error=""))
    return bool(ours.update(told_at=Now(), times_told=F("times_told") + 1, holder="", held_until=None, error=""))


def failed(telling: Telling, error: str) -> None:
    """Give it back, for a later try by whoever comes first."""
    ours = _rows().filter(holder=telling.token)
    ours.update(holder="", held_until=Now() + RETRY_AFTER, error=error[:1000])


def forget(*, timing: Timing) -> int:
    """Remove what has been over for days."""
    return _rows().filter(over_at__lte=Now() - max(KEPT, timing.window)).delete()[0]


def rows() -> "QuerySet[Alert]":
    return _rows()


def _take(due: "QuerySet[Alert]", *, ended: bool) -> Telling | None:
    token = str(uuid4())
    if not due.update(holder=token, held_until=Now() + HOLD):
        return None
    ours = _rows().filter(holder=token)
    return Telling(token, tuple(_cause(row, ended=ended) for row in ours), ended)


def _cause(row: Alert, *, ended: bool) -> Cause:
    number = f"{row.pk}.{row.began_at:%Y%m%dT%H%M%S}.{row.times_told}{'.over' if ended else ''}"
    return Cause(
        row.cause, row.sentence, row.began_at, number, told_before=bool(row.told_at and row.told_at >= row.began_at)
    )


def _free(channel: str) -> "QuerySet[Alert]":
    return _rows(channel).filter(Q(held_until=None) | Q(held_until__lte=Now()))


def _rows(channel: str = "") -> "QuerySet[Alert]":
    found = Alert.objects.using(database.using())
    return found.filter(channel=channel) if channel else found
