"""How each domain did: how much, how well, how long, against its targets and the period before. The worst first."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from celery import states
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from reporting import wording
from reporting.documents.blocks import Bars, Block, Column, Heading, Row, Table
from reporting.documents.cells import Cell, Duration, Share, Text, Tone
from reporting.rollups.reading import Sum, whole_hour
from reporting.sections import links, targets
from reporting.sections.shape import Scope, Section

CARDS = 8
"""Domains with a table of their own; any beyond these share one."""


class Domains(Section):
    name = "domains"
    title = gettext_lazy("How each domain did")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        names = sorted(scope.this.days.keys() | scope.before.days.keys(), key=lambda name: _badness(scope, name))
        for name in names[:CARDS]:
            yield from _card(scope, name)
        if rest := names[CARDS:]:
            yield Heading(text=_("Other domains"))
            yield Table(
                columns=_titles("", pgettext("how many", "Finished"), _("Failed")),
                rows=tuple(_line(scope, name) for name in rest),
            )


def called(name: str) -> str:
    domain = targets.declared(name)
    return domain.title if domain else name or _("Tasks of no domain")


def place(domain: str) -> str:
    """Where in a sentence something happened; empty for tasks of no domain."""
    return called(domain) if domain else _("tasks of no domain")


def _badness(scope: Scope, name: str) -> tuple[Any, ...]:
    """A target that was missed weighs most, then failures, then how much there was."""
    sum_ = scope.this.domains.get(name, Sum())
    return (not targets.misses_any(sum_, targets.of(name)), -sum_.failed, -sum_.count, name)


def _card(scope: Scope, name: str) -> Iterator[Block]:
    domain = targets.declared(name)
    yield Heading(
        text=called(name),
        beside=", ".join(filter(None, (domain.owner, domain.contact))) if domain else "",
    )
    noun = _(domain.noun) if domain else _("tasks")
    if len(scope.period.days) > 1 and name in scope.this.days:
        yield _bars(scope, name, noun)
    yield Table(columns=_titles("", _("This week"), _("Target"), _("Last week")), rows=tuple(_rows(scope, name, noun)))


def _bars(scope: Scope, name: str, noun: str) -> Bars:
    pruned = scope.stretch[0] < scope.now - links.kept_for(name)
    stretches = [(whole_hour(day.starts_at), whole_hour(day.ends_at)) for day in scope.period.days]
    return Bars(
        caption=_("%(noun)s by the day") % {"noun": wording.capital(noun)},
        labels=tuple(date_format(day.starts_at, "D") for day in scope.period.days),
        values=tuple(sum_.count for sum_ in scope.this.days[name]),
        links=() if pruned else tuple(links.results(stretch, domain=name) for stretch in stretches),
    )


def _rows(scope: Scope, name: str, noun: str) -> Iterator[Row]:
    now, before = scope.this.domains.get(name, Sum()), scope.before.domains.get(name, Sum())
    aims = targets.of(name)
    yield _counted(scope, name, wording.capital(noun), now.count, before.count)
    bad = _tone(bad=now.failed > 0)
    yield _counted(scope, name, _("Failed"), now.failed, before.failed, tone=bad, outcome=states.FAILURE)
    if now.revoked or before.revoked:
        label = _("Cancelled or too late")
        yield _counted(scope, name, label, now.revoked, before.revoked, outcome=states.REVOKED)
    success = Share(value=now.success, tone=_tone(bad=targets.misses_success(now, aims)))
    yield _row(_("Succeeded"), success, Share(value=aims.success), Share(value=before.success, tone=Tone.QUIET))
    if (left := targets.budget_left(now, aims)) is not None:
        was = Share(value=targets.budget_left(before, aims), tone=Tone.QUIET)
        yield _row(_("Failures still allowed"), Share(value=left, tone=_tone(bad=not left)), NONE, was)
    # xgettext:no-python-format
    yield _times(_("95% waited up to"), now.p95_wait, aims.wait, before.p95_wait, bad=targets.misses_wait(now, aims))
    # xgettext:no-python-format
    yield _times(_("95% ran up to"), now.p95_run, aims.run, before.p95_run, bad=targets.misses_run(now, aims))


def _counted(scope: Scope, name: str, label: str, now: int, before: int, *, tone: str = "", **chosen: str) -> Row:
    this = scope.counted(now, domain=name, tone=tone, **chosen)
    return _row(label, this, NONE, scope.counted_before(before, domain=name, **chosen))


def _times(label: str, now: timedelta | None, target: timedelta | None, before: timedelta | None, *, bad: bool) -> Row:
    return _row(
        label,
        Duration(microseconds=microseconds(now), tone=_tone(bad=bad)),
        Duration(microseconds=microseconds(target)),
        Duration(microseconds=microseconds(before), tone=Tone.QUIET),
    )


def _line(scope: Scope, name: str) -> Row:
    sum_ = scope.this.domains.get(name, Sum())
    return _row(
        called(name),
        scope.counted(sum_.count, domain=name),
        scope.counted(sum_.failed, domain=name, outcome=states.FAILURE, tone=_tone(bad=sum_.failed > 0)),
    )


def microseconds(length: timedelta | None) -> int | None:
    return None if length is None else length // timedelta(microseconds=1)


NONE = Text(text="", tone=Tone.QUIET)


def _row(label: str, *cells: Cell) -> Row:
    return Row(cells=(Text(text=label), *cells))


def _tone(*, bad: bool) -> str:
    return Tone.BAD if bad else Tone.PLAIN


def _titles(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(title=title) for title in titles)
