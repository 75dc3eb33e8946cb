"""What the clean-ups removed because its time was over."""

from collections.abc import Iterable

from django.db.models import Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from reporting import wording
from reporting.documents.blocks import Block, Column, Row, Sentence, Table
from reporting.documents.cells import Count, Text
from reporting.sections import links
from reporting.sections.shape import Scope, Section
from routing.ledger import database
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.retention.ledger_rows import CLEANUPS_KEPT

ROWS = 12


class Cleanups(Section):
    name = "clean-ups"
    title = gettext_lazy("Removed, because its time was over")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        begin, end = scope.stretch
        ran = Cleanup.objects.using(database.using()).filter(started_at__gte=begin, started_at__lt=end)
        if scope.is_pruned(scope.stretch, CLEANUPS_KEPT):
            yield Sentence(text=_("The clean-ups of that time are no longer on record."))
            return
        if not (count := ran.count()):
            yield Sentence(text=_("No clean-up ran, so nothing that is past its time was removed."))
            return
        removed = Removal.objects.using(database.using()).filter(scope.in_domains(), cleanup__in=ran)
        kinds = removed.order_by("kind").values_list("kind").annotate(rows=Sum("count"))
        rows = [("", count), *sorted(kinds, key=lambda kind: -kind[1])]
        titles = ("", _("Rows"))
        yield Table(
            columns=tuple(Column(title=title) for title in titles),
            rows=tuple(_row(scope, kind, value) for kind, value in rows[: ROWS + 1]),
        )


def _row(scope: Scope, kind: str, value: int) -> Row:
    if not kind:
        return Row(cells=(Text(text=_("Clean-ups that ran")), Count(value=value, link=links.cleanups(scope.stretch))))
    link = links.cleanups(scope.stretch, removed=kind, of=",".join(sorted(scope.domains or ())))
    return Row(cells=(Text(text=wording.capital(_(kind))), Count(value=value, link=link)))
