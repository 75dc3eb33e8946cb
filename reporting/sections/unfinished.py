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
        before = min(scope.period.ends_at, scope.now)
        rows = (
            lookup.messages()
            .filter(scope.in_domains(), created_at__lt=before, due_at__lt=before)
            .values("task")
            .annotate(count=Counted("pk"), since=Min("created_at"))
            .order_by("-count", "task")
        )
        found = [_row(row["task"], row["count"], row["since"], before) for row in rows]
        if found:
            titles = (_("Task"), _("Tasks"), _("Oldest from"))
            yield Table(
                columns=tuple(Column(title=title) for title in titles), rows=tuple(found[:ROWS]), stacked=True,
                rest=wording.more(len(found) - ROWS),
            )  # fmt: skip


def count(scope: Scope) -> int:
    before = min(scope.period.ends_at, scope.now)
    return int(lookup.messages().filter(scope.in_domains(), created_at__lt=before, due_at__lt=before).count())


def link(scope: Scope) -> str:
    """Of all domains."""
    return _link(min(scope.period.ends_at, scope.now))


def _link(before: datetime, **chosen: str) -> str:
    return links.in_flight(**chosen, created_at__lt=before.isoformat(), due_at__lt=before.isoformat())


def _row(task: str, number: int, since: datetime, before: datetime) -> Row:
    return Row(
        cells=(
            Text(text=wording.shortened(wording.task(task), 100)),
            Count(value=number, link=_link(before, task__exact=task), tone=Tone.BAD),
            Moment(at=since),
        )
    )
