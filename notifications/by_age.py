"""Rows by age, without an index on it: their keys rise with their times, but for what one transaction lasts."""

from datetime import datetime, timedelta

from django.db.models import Max, Min, Model, Q

SLACK = timedelta(hours=1)
"""So much earlier or later than its neighbours a row's time may be."""


def before(model: type[Model], column: str, moment: datetime, *, using: str | None = None) -> Q:
    """Rows of an earlier time; their keys end there, so that nobody looks at the rest of the table."""
    end = first_since(model, column, moment + SLACK, using=using)
    return Q(pk__lt=end, **{f"{column}__lt": moment})


def between(model: type[Model], column: str, start: datetime, end: datetime) -> Q:
    first, last = first_since(model, column, start - SLACK), first_since(model, column, end + SLACK)
    return Q(pk__gte=first, pk__lt=last, **{f"{column}__gte": start, f"{column}__lt": end})


def first_since(model: type[Model], column: str, moment: datetime, *, using: str | None = None) -> int:
    """The key from which on rows are as young as that, or one beyond the last. Two dozen looks at the key's index."""
    rows = model._base_manager.using(using)
    ends = rows.aggregate(first=Min("pk"), last=Max("pk"))
    low, high = ends["first"] or 0, (ends["last"] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = rows.filter(pk__gte=middle).order_by("pk").values_list("pk", column).first()
        if found is None or found[1] >= moment:
            high = middle
        else:
            low = found[0] + 1
    return int(low)
