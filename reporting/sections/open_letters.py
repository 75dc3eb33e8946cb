"""Dead letters about which nobody has decided yet, by cause."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count as Counted
from django.db.models import Max, Min
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from reporting import wording
from reporting.documents.blocks import Block, Column, Row, Table
from reporting.documents.cells import Count, Moment, Text, Tone
from reporting.sections import links
from reporting.sections.shape import Scope, Section
from routing.ledger import database
from routing.ledger.fingerprint import work_out
from routing.ledger.tables import DeadLetter

ROWS = 15


class OpenLetters(Section):
    name = "open-dead-letters"
    title = gettext_lazy("Failed, and nobody has decided about it")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        work_out(batches=50)
        found = list(
            _letters(scope)
            .values("fingerprint", "task")
            .annotate(count=Counted("pk"), since=Min("dead_at"), last=Max("pk"))
            .order_by("-count", "task")
        )
        if not found:
            return
        errors = dict(_letters(scope).filter(pk__in=[row["last"] for row in found]).values_list("pk", "error"))
        yield Table(
            columns=tuple(Column(title=title) for title in (_("Cause"), _("Tasks"), _("Oldest from"))),
            rows=tuple(_row(row, errors.get(row["last"]) or "") for row in found[:ROWS]),
            stacked=True,
            rest=_rest(len(found) - ROWS),
        )


def count(scope: Scope) -> int:
    return int(_letters(scope).count())


def _rest(left: int) -> str:
    if left < 1:
        return ""
    words = ngettext("… and %(count)s more cause", "… and %(count)s more causes", left)
    return words % {"count": wording.number(left)}


def _letters(scope: Scope) -> Any:
    open_ones = DeadLetter.objects.using(database.using()).filter(state=DeadLetter.State.OPEN)
    return open_ones.filter(scope.in_domains())


def _row(row: dict[str, Any], error: str) -> Row:
    name = wording.task(row["task"])
    link = links.dead_letters(q=row["fingerprint"], task=row["task"], state__exact=DeadLetter.State.OPEN)
    return Row(
        cells=(
            Text(text=wording.shortened(f"{name}: {error}" if error else name, 160)),
            Count(value=row["count"], link=link, tone=Tone.BAD),
            Moment(at=row["since"]),
        )
    )
