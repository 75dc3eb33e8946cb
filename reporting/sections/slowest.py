"""The tasks that ran longest, and those that were tried again most often."""

from collections.abc import Iterable
from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from reporting import wording
from reporting.documents.blocks import Block, Column, Heading, Row, Table
from reporting.documents.cells import Duration, Text, Tone
from reporting.rollups.reading import Sum, Task
from reporting.sections.domains import microseconds
from reporting.sections.shape import Scope, Section

ROWS = 5
SLOW = timedelta(seconds=1)
"""What is quicker is not worth a line."""


class Slowest(Section):
    name = "slowest"
    title = gettext_lazy("Slowest and most retried")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        tasks = scope.this.tasks
        slow = [task for task in tasks if (tasks[task].p95_run or timedelta()) >= SLOW]
        if slow:
            slow.sort(key=lambda task: (-(microseconds(tasks[task].p95_run) or 0), task))
            # xgettext:no-python-format
            yield Heading(text=_("95% ran up to"))
            yield _table(_("Last week"), tuple(_slow(scope, task) for task in slow[:ROWS]))
        retried = sorted((task for task in tasks if tasks[task].retries), key=lambda task: (-tasks[task].retries, task))
        if retried:
            yield Heading(text=_("Tried again"))
            yield _table(_("Last week"), tuple(_retried(scope, task) for task in retried[:ROWS]))


def _slow(scope: Scope, task: Task) -> Row:
    now, before = scope.this.tasks[task], scope.before.tasks.get(task, Sum())
    return Row(
        cells=(
            Text(text=_name(task)),
            scope.counted(now.count, domain=task.domain, task=task.name or None),
            Duration(microseconds=microseconds(now.p95_run)),
            Duration(microseconds=microseconds(before.p95_run), tone=Tone.QUIET),
        )
    )


def _retried(scope: Scope, task: Task) -> Row:
    now, before = scope.this.tasks[task], scope.before.tasks.get(task, Sum())
    return Row(
        cells=(
            Text(text=_name(task)),
            scope.counted(now.count, domain=task.domain, task=task.name or None),
            scope.counted(now.retries, domain=task.domain, task=task.name or None, tried_again=True),
            scope.counted_before(before.retries, domain=task.domain, task=task.name or None, tried_again=True),
        )
    )


def _name(task: Task) -> str:
    return wording.shortened(wording.task(task.name), 100)


def _table(last: str, rows: tuple[Row, ...]) -> Table:
    titles = (_("Task"), pgettext("how many", "Finished"), _("This week"), last)
    return Table(columns=tuple(Column(title=title) for title in titles), rows=rows, stacked=True)
