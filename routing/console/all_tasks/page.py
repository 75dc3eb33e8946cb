"""What the page of all tasks shows: one page of them, how many there are, and what was asked for in words."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_results.models import TaskResult

from routing.console import html
from routing.console.all_tasks.asked import FINISHED, Asked
from routing.console.all_tasks.merging import Page, Tasks, read
from routing.console.message_rows import MessageRow
from routing.console.number_words import grouped
from routing.console.page_parts import message_url, result_url
from routing.console.result_list import COUNTED_FOR, SECONDS, STOPPED_AFTER
from routing.console.result_rows import ResultRow, StateWord
from routing.console.searching import counts, finished
from routing.console.searching.counts import Count
from routing.console.searching.limit import TookTooLong, time_limit
from routing.console.searching.terms import NO_DOMAIN, CountedIn, DomainIn, FinishedIn, Narrowing, Since, Term, Until
from routing.ledger import database, lookup
from routing.ledger.results import task_names
from routing.ledger.snapshot import one_moment
from routing.ledger.tables import Message

ROWS = 50


@dataclass(frozen=True)
class Row:
    """``done_at``: None while it has no outcome."""

    task: str
    url: str
    domain: str
    state: StateWord
    created_at: datetime
    done_at: datetime | None


@dataclass(frozen=True)
class Shown:
    """``count``: None where it is not known, as where nothing was read in the time that the database has."""

    rows: list[Row]
    page: Page
    count: Count | None
    stopped: bool = False

    @property
    def count_words(self) -> str:
        if self.count is None:
            return ""
        number = grouped(self.count.number)
        if self.count.exact:
            return ngettext("%(number)s task", "%(number)s tasks", self.count.number) % {"number": number}
        if self.count.estimate:
            return _("about %(number)s tasks (estimated)") % {"number": number}
        return _("more than %(number)s tasks") % {"number": number}

    @property
    def cut(self) -> str:
        return html.plain_clock(self.page.cut.at) if self.page.cut else ""


def shown(asked: Asked) -> Shown:
    """As of one moment, so that a task that finishes meanwhile is in it once."""
    try:
        with one_moment():
            tasks = _tasks(asked)
            with time_limit(STOPPED_AFTER):
                page = read(tasks, asked.spot, towards_older=asked.towards_older, size=ROWS, seconds=SECONDS)
            return Shown([_row(each) for each in page.rows], page, _count(tasks, page))
    except TookTooLong:
        return Shown([], Page([]), None, stopped=True)


def words(asked: Asked) -> str:
    """What is shown, as a sentence."""
    begin, end = (html.plain_clock(each) if each else "" for each in (asked.begin, asked.end))
    if asked.by == FINISHED:
        found = {"begin": begin, "end": end, "due": html.plain_clock(asked.due) if asked.due else ""}
        if asked.due:
            return _("Finished from %(begin)s to %(end)s, or due before %(due)s and not finished yet.") % found
        return _("Finished from %(begin)s to %(end)s, or not finished yet.") % found
    if begin and end:
        return _("Created from %(begin)s to %(end)s.") % {"begin": begin, "end": end}
    return _("Created since %(begin)s.") % {"begin": begin} if begin else _("Created before %(end)s.") % {"end": end}


def _tasks(asked: Asked) -> Tasks:
    return Tasks(_results(asked), finished.question(_terms(asked), names=task_names), _in_flight(asked))


def _results(asked: Asked) -> "QuerySet[TaskResult]":
    rows: QuerySet[TaskResult] = TaskResult.objects.using(database.using())
    if asked.limits is not None:
        rows = rows.filter(finished.of_domains(asked.limits, names=task_names))
    # What it returned and was called with may be long.
    return rows.only("task_id", "task_name", "status", "date_created", "date_done", "meta")


def _terms(asked: Asked) -> list[Term | Narrowing]:
    found: list[Term | Narrowing] = []
    if asked.by == FINISHED and asked.begin and asked.end:
        found.append(FinishedIn("", asked.begin, asked.end))
    else:
        found += [Since("", asked.begin)] if asked.begin else []
        found += [Until("", asked.end)] if asked.end else []
    if asked.limits is not None:
        # The rows are theirs already; this has the indexes lead to them.
        found.append(DomainIn("", tuple(sorted(asked.limits))))
    return [*found, CountedIn(str(_("domain")), asked.domains)] if asked.domains else found


def _in_flight(asked: Asked) -> "QuerySet[Message]":
    rows = lookup.messages().only("task", "domain", "state", "created_at", "owner")
    if asked.by == FINISHED:
        rows = rows.filter(created_at__lt=asked.due, due_at__lt=asked.due) if asked.due else rows
    else:
        rows = rows.filter(created_at__gte=asked.begin) if asked.begin else rows
        rows = rows.filter(created_at__lt=asked.end) if asked.end else rows
    if asked.limits is not None:
        rows = rows.filter(domain__in=asked.limits)
    if asked.domains:
        rows = rows.filter(domain__in=["" if each == NO_DOMAIN else each for each in asked.domains])
    return rows


def _count(tasks: Tasks, page: Page) -> Count | None:
    """As the list of results counts, and all in flight, of which there are never as many."""
    if page.newer is None and page.older is None:
        return Count(len(page.rows))
    try:
        with time_limit(COUNTED_FOR):
            found = counts.count(tasks.results, tasks.question)
            if found is None:
                return None
            return Count(found.number + tasks.in_flight.count(), exact=found.exact, estimate=found.estimate)
    except TookTooLong:
        return None


def _row(row: TaskResult | Message) -> Row:
    if isinstance(row, Message):
        waiting = MessageRow(row, at=timezone.now())
        title = waiting.domain.title if waiting.domain else row.domain
        return Row(row.task, message_url(row.pk), title, waiting.state, row.created_at, None)
    done = ResultRow(row)
    title = done.domain.title if done.domain else ""
    name = row.task_name or row.task_id
    return Row(name, result_url(row.pk), title, done.state, row.date_created, done.done_at)
