"""How many results there are, without counting millions: exact up to a thousand, and above that an estimate."""

import json
from dataclasses import dataclass

from django.db.models import Max, Min, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_results.models import TaskResult

from routing.console.number_words import grouped
from routing.console.searching.finished import STRETCH, Question
from routing.ledger import database

EXACT_UP_TO = 1_000


@dataclass(frozen=True)
class Count:
    """``number`` of rows; where not ``exact``, at least so many, or an estimate."""

    number: int
    exact: bool = True
    estimate: bool = False

    def __str__(self) -> str:
        number = grouped(self.number)
        if self.exact:
            return ngettext("%(number)s result", "%(number)s results", self.number) % {"number": number}
        if self.estimate:
            return _("about %(number)s results (estimated)") % {"number": number}
        return _("more than %(number)s results") % {"number": number}


def count(rows: "QuerySet[TaskResult]", question: Question) -> Count | None:
    """None where a term has no index: each row would have to be looked at."""
    if not question.is_countable:
        return None
    if any(each.kind == STRETCH for each in question.conditions):
        # Whoever comes here from a figure of a report wants to see that figure.
        return Count(rows.filter(question.whole).order_by().count())
    found = 0
    for branch in question.branches:
        found += rows.filter(branch).order_by()[: EXACT_UP_TO + 1].count()
        if found > EXACT_UP_TO:
            return _estimate(rows, question)
    return Count(found)


def _estimate(rows: "QuerySet[TaskResult]", question: Question) -> Count:
    guess = _on_postgresql(rows, question) if database.on_postgresql() else _on_sqlite(rows, question)
    if guess <= EXACT_UP_TO:
        # Of a table that was filled a moment ago, the database's statistics know nothing.
        return Count(EXACT_UP_TO, exact=False)
    return Count(_rounded(guess), exact=False, estimate=True)


def _on_postgresql(rows: "QuerySet[TaskResult]", question: Question) -> int:
    (plan,) = json.loads(rows.filter(question.whole).order_by().values("pk").explain(format="json"))
    return int(plan["Plan"]["Plan Rows"])


def _on_sqlite(rows: "QuerySet[TaskResult]", question: Question) -> int:
    """Its planner tells no figures. Keys are given out one by one, so that their range is a figure for all rows."""
    if not question.everything:
        return 0
    edges = rows.order_by().aggregate(first=Min("pk"), last=Max("pk"))
    return int(edges["last"] - edges["first"] + 1)


def _rounded(number: int) -> int:
    """To three digits: more would look as if somebody had counted."""
    step = 10 ** max(len(str(number)) - 3, 0)
    return int(round(number / step) * step)
