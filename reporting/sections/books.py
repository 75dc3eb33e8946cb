"""The books: of all tasks that were accepted, each has finished or is in flight, or is counted as lost."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from reporting import wording
from reporting.documents.blocks import Block, Column, Row, Sentence, Table
from reporting.documents.cells import Count, Text, Tone
from reporting.rollups.reading import Sum
from reporting.sections import links
from reporting.sections.domains import called
from reporting.sections.shape import Scope, Section
from routing.ledger import figures


@dataclass(frozen=True)
class Balance:
    """``in_flight`` now; ``lost``: accepted, and neither finished nor in flight. Both by domain, where any are."""

    finished: int
    in_flight: dict[str, int]
    lost: dict[str, int]

    @property
    def total_lost(self) -> int:
        return sum(self.lost.values())

    @property
    def total(self) -> int:
        return self.finished + sum(self.in_flight.values()) + self.total_lost

    def names(self, scope: Scope) -> set[str]:
        return {*scope.this.domains, *self.in_flight, *self.lost}


class Books(Section):
    name = "books"
    title = gettext_lazy("The books")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        found = balance(scope)
        if not found.total:
            return
        yield Sentence(
            text=_("%(lost)s lost of %(total)s.")
            % {"lost": wording.number(found.total_lost), "total": wording.tasks(found.total)},
            # What is lost has no rows.
            link=links.tasks(scope.stretch, domains=scope.domains) if not found.lost and scope.keeps_results() else "",
            tone=Tone.BAD if found.lost else Tone.GOOD,
        )
        titles = (_("Domain"), pgettext("how many", "Finished"), _("In flight now"), _("Lost"))
        yield Table(
            columns=tuple(Column(title=title) for title in titles),
            rows=tuple(_row(scope, name, found) for name in sorted(found.names(scope))),
        )


def balance(scope: Scope) -> Balance:
    read = figures.read()
    names = [name for name in {*read.books, *read.in_flight} if scope.is_about(name)]
    in_flight = {name: count for name in names if (count := read.in_flight.get(name, 0))}
    lost = {name: read.difference(name) for name in names if read.difference(name) > 0}
    return Balance(scope.this.whole.count, in_flight, lost)


def _row(scope: Scope, name: str, found: Balance) -> Row:
    lost = found.lost.get(name, 0)
    return Row(
        cells=(
            Text(text=called(name)),
            scope.counted(scope.this.domains.get(name, Sum()).count, domain=name),
            Count(value=found.in_flight.get(name, 0), link=links.in_flight_of(name)),
            Count(value=lost, tone=Tone.BAD if lost else Tone.PLAIN),
        )
    )
