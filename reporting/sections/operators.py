"""What people did in the admin, by person."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Count as Counted
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from reporting import wording
from reporting.documents.blocks import Block, Column, Row, Table
from reporting.documents.cells import Count, Text
from reporting.sections import links
from reporting.sections.shape import Scope, Section

ROWS = 10


class Operators(Section):
    name = "operators"
    title = gettext_lazy("What people did")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        if scope.domains is not None:
            # Who did what is not written down by domain.
            return
        begin, end = scope.stretch
        rows = (
            LogEntry.objects.filter(action_time__gte=begin, action_time__lt=end)
            .values("user", f"user__{get_user_model().USERNAME_FIELD}", "content_type", "content_type__model")
            .annotate(count=Counted("pk"))
            .order_by("-count", "user", "content_type")
        )
        found = [_row(scope, row) for row in rows]
        if found:
            titles = (_("Who"), _("With"), _("Actions"))
            yield Table(
                columns=tuple(Column(title=title) for title in titles), rows=tuple(found[:ROWS]),
                rest=wording.more(len(found) - ROWS),
            )  # fmt: skip


def _row(scope: Scope, row: dict[str, Any]) -> Row:
    who = row[f"user__{get_user_model().USERNAME_FIELD}"]
    chosen = {"user__id__exact": str(row["user"]), "content_type__id__exact": str(row["content_type"] or "")}
    return Row(
        cells=(
            Text(text=str(who)),
            Text(text=_model(row["content_type"])),
            Count(value=row["count"], link=links.log(scope.stretch, **chosen)),
        )
    )


def _model(key: int | None) -> str:
    found = ContentType.objects.filter(pk=key).first() if key else None
    return str(found.name) if found else ""
