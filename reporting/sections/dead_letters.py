"""Dead letters: how many were set aside, and what people decided about them."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from reporting.documents.blocks import Block, Column, Row, Table
from reporting.documents.cells import Count, Text, Tone
from reporting.sections import links
from reporting.sections.links import Stretch
from reporting.sections.shape import Scope, Section
from routing.domains import registry
from routing.ledger import database
from routing.ledger.tables import DeadLetter

State = DeadLetter.State


class DeadLetters(Section):
    name = "dead-letters"
    title = gettext_lazy("Set aside, and decided about")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        rows = (
            _line(scope, pgettext("how many", "Set aside"), "dead_at"),
            _line(scope, _("Replayed"), "decided_at", State.REPLAYED),
            _line(scope, _("Discarded"), "decided_at", State.DISCARDED),
            _open(scope),
        )
        if any(_value(cell) for row in rows for cell in row.cells):
            titles = ("", _("This week"), _("Last week"))
            yield Table(columns=tuple(Column(title=title) for title in titles), rows=rows)


def _line(scope: Scope, label: str, field: str, state: str = "") -> Row:
    now = _count(scope, field, state, scope.stretch)
    return Row(cells=(Text(text=label), now, _count(scope, field, state, scope.stretch_before, tone=Tone.QUIET)))


def _count(scope: Scope, field: str, state: str, stretch: Stretch, *, tone: str = Tone.PLAIN) -> Count:
    found = _letters(scope).filter(**{f"{field}__gte": stretch[0], f"{field}__lt": stretch[1]})
    value = (found.filter(state=state) if state else found).count()
    within, decided = (stretch, None) if field == "dead_at" else (None, stretch)
    link = links.dead_letters(within=within, decided=decided, state__exact=state, domain__in=_domains(scope))
    pruned = scope.is_pruned(stretch, _kept(scope))
    return Count(value=value, link="" if pruned else link, is_pruned=pruned, tone=tone)


def _kept(scope: Scope) -> timedelta:
    """The shortest of the domains that it is about."""
    about = [domain.name for domain in registry() if scope.is_about(domain.name)]
    return min(map(links.dead_letters_kept_for, about or [""]))


def _open(scope: Scope) -> Row:
    value = _letters(scope).filter(state=State.OPEN).count()
    link = links.dead_letters(state__exact=State.OPEN, domain__in=_domains(scope))
    tone = Tone.BAD if value else Tone.PLAIN
    return Row(cells=(Text(text=_("Open now")), Count(value=value, link=link, tone=tone), Text(text="")))


def _domains(scope: Scope) -> str:
    return ",".join(sorted(scope.domains or ()))


def _letters(scope: Scope) -> Any:
    return DeadLetter.objects.using(database.using()).filter(scope.in_domains())


def _value(cell: Any) -> int:
    return cell.value if isinstance(cell, Count) else 0
