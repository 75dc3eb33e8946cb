"""What was due before the period's end and has no outcome yet."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count as Counted
from django.db.models import Min
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from reporting import wording
from reporting.documents.blocks import Block, Column, Row, Table
from reporting.documents.cells import Count, Moment, Text, Tone
from reporting.sections import links
from reporting.sections.shape import Scope, Section
from routing.ledger import lookup

ROWS = 10


class Unfinished(Section):
    name = "unfinished"
    title = gettext_lazy("Still unfinished")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        before = due_before(scope)
        rows = (
            lookup.messages()
            .filter(scope.in_domains(), created_at__lt=before, due_at__lt=before)
            .values("task")
            .annotate(count=Counted("pk"), since=Min("created_at"))
            .order_by("-count", "task")
        )
        found = [_row(scope, row["task"], row["count"], row["since"]) for row in rows]
        if found:
            titles = (_("Task"), _("Tasks"), _("Oldest from"))
            yield Table(
                columns=tuple(Column(title=title) for title in titles), rows=tuple(found[:ROWS]), stacked=True,
                rest=wording.more(len(found) - ROWS),
            )  # fmt: skip


def count(scope: Scope) -> int:
    before = due_before(scope)
    return int(lookup.messages().filter(scope.in_domains(), created_at__lt=before, due_at__lt=before).count())


def due_before(scope: Scope) -> datetime:
    return min(scope.period.ends_at, scope.now)


def link(scope: Scope, **chosen: str) -> str:
    before = due_before(scope).isoformat()
    domains = {} if scope.domains is None else {"domain__in": ",".join(sorted(scope.domains))}
    return links.in_flight(**chosen, **domains, created_at__lt=before, due_at__lt=before)


def _row(scope: Scope, task: str, number: int, since: datetime) -> Row:
    return Row(
        cells=(
            Text(text=wording.shortened(wording.task(task), 100)),
            Count(value=number, link=link(scope, task__exact=task), tone=Tone.BAD),
            Moment(at=since),
        )
    )
