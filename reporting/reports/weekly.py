"""The week of the pipeline, for those who read one mail about it on Monday."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from reporting import wording
from reporting.documents.blocks import Link
from reporting.documents.cells import Tone
from reporting.documents.document import Document, Part
from reporting.reports.shape import Report
from reporting.sections import books, leads, targets, unfinished
from reporting.sections.books import Balance, Books
from reporting.sections.cleanups import Cleanups
from reporting.sections.dead_letters import DeadLetters
from reporting.sections.domains import Domains, called, place
from reporting.sections.failures import Failures
from reporting.sections.operators import Operators
from reporting.sections.schedule import Schedule
from reporting.sections.shape import Scope
from reporting.sections.slowest import Slowest
from reporting.sections.targets import Miss
from reporting.sections.unfinished import Unfinished
from reporting.weeks import Week

FEW = 2
"""Days that are named; more of them are all of it."""
LATE = timedelta(days=1)
"""A report made later than this after its week says so."""


class Weekly(Report):
    name = "weekly"
    title = gettext_lazy("Weekly report")
    sections = (Domains, Failures, Unfinished, Slowest, Schedule, DeadLetters, Cleanups, Operators, Books)

    def period_of(self, moment: datetime) -> Week:
        return Week.of(moment).previous()

    def parse_period(self, text: str) -> Week:
        return Week.parse(text)

    def conclude(self, scope: Scope, parts: tuple[Part, ...]) -> Document:
        balance, missed = books.balance(scope), list(targets.missed(scope))
        is_well = not (balance.total_lost or missed or scope.this.whole.failed or unfinished.count(scope))
        return Document(
            report=self.name,
            title=str(self.title),
            period=str(scope.period),
            period_words=scope.period.words,
            subject=_subject(scope, balance),
            verdict=wording.joined(list(_clauses(scope, balance, missed))) + ".",
            leads=tuple(_leads(scope, balance)),
            tone=Tone.GOOD if is_well else Tone.BAD,
            built_at=scope.now,
            domains=tuple(sorted(scope.domains or ())),
            notes=tuple(_notes(scope)),
            parts=parts,
        )


def _subject(scope: Scope, balance: Balance) -> str:
    assert isinstance(scope.period, Week)  # noqa: S101  (the report's own)
    finished, failed = scope.this.whole.count, scope.this.whole.failed
    words = _("Taskyard week %(week)d") if scope.is_over else _("Taskyard week %(week)d so far")
    week = words % {"week": scope.period.number}
    if balance.total_lost:
        return _("%(week)s: %(lost)s lost") % {"week": week, "lost": wording.tasks(balance.total_lost)}
    if not finished:
        return _("%(week)s: no task finished") % {"week": week}
    how = wording.failed(failed) if failed else _("none failed")
    words = ngettext("%(week)s: %(total)s finished, %(how)s", "%(week)s: %(total)s finished, %(how)s", finished)
    return words % {"week": week, "total": wording.tasks(finished), "how": how}


def _clauses(scope: Scope, balance: Balance, missed: list[Miss]) -> Iterator[str]:
    """Losses first, then what failed, then targets: the order in which they hurt."""
    opening = "" if scope.is_over else _("So far this week: ")
    yield f"{opening}{_accounted_for(scope, balance, capital=not opening)}"
    yield from _failed(scope)
    yield from _missed(missed)


def _accounted_for(scope: Scope, balance: Balance, *, capital: bool) -> str:
    if balance.total_lost:
        words = ngettext("%(lost)s of %(total)s is lost", "%(lost)s of %(total)s are lost", balance.total_lost)
        return words % {
            "lost": wording.number(balance.total_lost),
            "total": wording.tasks(balance.total),
        }
    if not (total := scope.this.whole.count + (waiting := unfinished.count(scope))):
        said = _("a quiet week, in which no task ran and nothing could go wrong")
    elif waiting:
        words = ngettext(
            "%(waiting)s of %(total)s is still unfinished, and none is lost",
            "%(waiting)s of %(total)s are still unfinished, and none is lost",
            waiting,
        )
        said = words % {"waiting": wording.number(waiting), "total": wording.tasks(total)}
    else:
        words = ngettext("the one task is accounted for", "all %(total)s tasks accounted for", total)
        said = words % {"total": wording.number(total)}
    return wording.capital(said) if capital else said


def _leads(scope: Scope, balance: Balance) -> Iterator[Link]:
    """In the order of the clauses. What is lost has no rows."""
    if not balance.total_lost:
        waiting, finished = unfinished.count(scope), scope.this.whole.count
        if waiting:
            yield from leads.of_unfinished(scope, waiting, finished + waiting)
        else:
            yield from leads.of_finished(scope, finished)
    yield from leads.of_failed(scope)


def _failed(scope: Scope) -> Iterator[str]:
    failing = sorted((-sum_.failed, name) for name, sum_ in scope.this.domains.items() if sum_.failed)
    if len(failing) == 1:
        yield _("%(failed)s, in %(domain)s") % {
            "failed": wording.failed(-failing[0][0]),
            "domain": place(failing[0][1]),
        }
    elif failing:
        each = [wording.failed_in(place(name), -failed) for failed, name in failing[:3]]
        more = [_("the rest elsewhere")] if failing[3:] else []
        total = wording.failed(-sum(failed for failed, _name in failing))
        yield _("%(failed)s: %(each)s") % {"failed": total, "each": wording.listed([*each, *more])}


def _missed(missed: list[Miss]) -> Iterator[str]:
    """Those that missed on few days by the day, the others together."""
    often = [called(miss.domain) for miss in missed if not 0 < len(miss.days) <= FEW]
    if often:
        words = ngettext("%(domains)s missed its target", "%(domains)s missed their targets", len(often))
        yield words % {"domains": wording.listed(often)}
    for miss in missed:
        if 0 < len(miss.days) <= FEW:
            yield _("%(domain)s missed its target on %(days)s") % {
                "domain": called(miss.domain),
                "days": wording.listed([date_format(day.starts_at, "l") for day in miss.days]),
            }


def _notes(scope: Scope) -> Iterator[str]:
    made = wording.moment(scope.now)
    if not scope.is_over:
        yield _("The week is not over: these are its figures of %(made)s, beside those of the whole week before.") % {
            "made": made
        }
    elif scope.now - scope.period.ends_at > LATE:
        yield _("This report is late: it was made on %(made)s, and its week ended on %(ended)s.") % {
            "made": made,
            "ended": wording.moment(scope.period.ends_at),
        }
    until = scope.counted_until
    if until is None or until < min(scope.now, scope.period.ends_at):
        yield _(
            "Not all is counted yet: what was recorded after %(until)s is missing, and follows with the next report."
        ) % {"until": wording.moment(until) if until else wording.moment(scope.period.starts_at)}
    if scope.stretch != (scope.period.starts_at, scope.period.ends_at):
        yield _("Tasks are counted by whole hours of UTC, so the week is taken from %(begin)s to %(end)s.") % {
            "begin": wording.moment(scope.stretch[0]),
            "end": wording.moment(scope.stretch[1]),
        }
