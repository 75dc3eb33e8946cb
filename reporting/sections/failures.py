"""What failed, by its cause, and whether that is new, grows, has come back or is gone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count as Counted
from django.db.models import Max, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from reporting import wording
from reporting.documents.blocks import Block, Column, Row, Table
from reporting.documents.cells import Count, Text, Tone
from reporting.sections import links
from reporting.sections.shape import Scope, Section
from routing.ledger import database
from routing.ledger.fingerprint import work_out
from routing.ledger.tables import DeadLetter

ROWS = 10
LONGEST = 160
GROWS = 2
"""Times as many as the period before, and at least ``AT_LEAST`` more."""
AT_LEAST = 3
NEW, REGRESSED, ESCALATING, ONGOING, RESOLVED = "new", "regressed", "escalating", "ongoing", "resolved"
_ORDER = (NEW, REGRESSED, ESCALATING, ONGOING, RESOLVED)


@dataclass(frozen=True, kw_only=True)
class Cause:
    fingerprint: str
    task: str
    domain: str
    error: str
    now: int
    before: int
    state: str


class Failures(Section):
    name = "failures"
    title = gettext_lazy("What failed, by cause")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        found = causes(scope)
        if not found:
            return
        titles = (_("Cause"), _("This week"), _("Last week"), "")
        yield Table(
            columns=tuple(Column(title=title) for title in titles),
            rows=tuple(_row(scope, cause) for cause in found[:ROWS]),
            stacked=True,
            rest=_rest(found[ROWS:]),
        )


def causes(scope: Scope) -> list[Cause]:
    """Those of this period and of the one before, the worst first."""
    work_out(batches=50)
    (begin, end), (before, _end) = scope.stretch, scope.stretch_before
    this = Q(dead_at__gte=begin)
    rows = (
        _letters(scope)
        .filter(dead_at__gte=before, dead_at__lt=end)
        .values("fingerprint", "task", "domain")
        .annotate(now=Counted("pk", filter=this), before=Counted("pk", filter=~this), last=Max("pk"))
        .order_by()
    )
    known = list(rows)
    errors = dict(_letters(scope).filter(pk__in=[row["last"] for row in known]).values_list("pk", "error"))
    older = _seen_before(scope, [row["fingerprint"] for row in known if not row["before"]], before)
    found = [_cause(row, errors, older) for row in known]
    return sorted(found, key=lambda cause: (_ORDER.index(cause.state), -cause.now, -cause.before, cause.task))


def words_of(state: str) -> str:
    return {
        NEW: _("new"),
        REGRESSED: _("is back"),
        ESCALATING: _("growing"),
        ONGOING: _("goes on"),
        RESOLVED: _("gone"),
    }[state]


def _letters(scope: Scope) -> Any:
    return DeadLetter.objects.using(database.using()).filter(scope.in_domains())


def _seen_before(scope: Scope, fingerprints: list[str], moment: datetime) -> set[str]:
    earlier = _letters(scope).filter(fingerprint__in=fingerprints, dead_at__lt=moment)
    return set(earlier.values_list("fingerprint", flat=True).distinct())


def _cause(row: dict[str, Any], errors: dict[int, str | None], older: set[str]) -> Cause:
    return Cause(
        fingerprint=row["fingerprint"],
        task=row["task"],
        domain=row["domain"],
        error=errors.get(row["last"]) or "",
        now=row["now"],
        before=row["before"],
        state=_state(row["now"], row["before"], is_known=row["fingerprint"] in older),
    )


def _state(now: int, before: int, *, is_known: bool) -> str:
    if not now:
        return RESOLVED
    if not before:
        return REGRESSED if is_known else NEW
    return ESCALATING if now >= before * GROWS and now - before >= AT_LEAST else ONGOING


def _row(scope: Scope, cause: Cause) -> Row:
    bad = cause.state in (NEW, REGRESSED, ESCALATING)
    name = wording.task(cause.task)
    return Row(
        cells=(
            Text(text=wording.shortened(f"{name}: {cause.error}" if cause.error else name, LONGEST)),
            _count(scope, cause, cause.now, scope.stretch),
            _count(scope, cause, cause.before, scope.stretch_before, tone=Tone.QUIET),
            Text(text=words_of(cause.state), tone=Tone.BAD if bad else Tone.PLAIN),
        )
    )


def _count(scope: Scope, cause: Cause, value: int, stretch: links.Stretch, *, tone: str = Tone.PLAIN) -> Count:
    pruned = scope.is_pruned(stretch, links.dead_letters_kept_for(cause.domain))
    link = links.dead_letters(within=stretch, q=cause.fingerprint, task=cause.task, domain=cause.domain)
    return Count(
        value=value, link="" if pruned or not value or not cause.fingerprint else link, is_pruned=pruned, tone=tone
    )


def _rest(left: list[Cause]) -> str:
    if not left:
        return ""
    times = sum(cause.now for cause in left)
    words = ngettext(
        "… and %(count)s more cause, with %(times)s failures",
        "… and %(count)s more causes, with %(times)s failures",
        len(left),
    )
    return words % {"count": wording.number(len(left)), "times": wording.number(times)}
