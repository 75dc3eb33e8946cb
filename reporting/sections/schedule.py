"""What was due by the schedule, and whether it was fired, late, or not at all."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count as Counted
from django.db.models import F, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from reporting import wording
from reporting.documents.blocks import Block, Column, Row, Sentence, Table
from reporting.documents.cells import Count, Text, Tone
from reporting.sections import links
from reporting.sections.shape import Scope, Section
from routing.domains import registry
from routing.ledger import slots
from routing.schedule import operating

ROWS = 12
LATE = Q(missed="", decided_at__gt=F("due_at") + operating.LATE_AFTER)


class Schedule(Section):
    name = "schedule"
    title = gettext_lazy("The schedule")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        rows = entries(scope)
        lapsed = [row for row in rows if row["missed_count"] or row["late"]]
        if lapsed:
            titles = (_("Entry"), pgettext("how many", "Due"), _("Fired"), _("Late"), _("Missed"))
            yield Table(
                columns=tuple(Column(title=title) for title in titles),
                rows=tuple(_row(scope, row) for row in lapsed[:ROWS]),
                stacked=True,
                rest=wording.more(len(lapsed) - ROWS),
            )
        if kept := [row for row in rows if row not in lapsed]:
            but, of = [row["entry"] for row in lapsed], ",".join(sorted(scope.domains or ()))
            link = links.slots(scope.stretch, of=of, but=but, became="due")
            yield Sentence(text=_kept(kept, others=bool(lapsed)), link=link)


def entries(scope: Scope) -> list[dict[str, Any]]:
    """What became of each entry's due times, those with most missed first. What people ran by hand is left out."""
    begin, end = scope.stretch
    rows = (
        slots.slots()
        .filter(due_at__gte=begin, due_at__lt=end, asked_by="")
        .values("entry")
        .annotate(
            due=Counted("pk"),
            fired=Counted("pk", filter=Q(missed="")),
            late=Counted("pk", filter=LATE),
            missed_count=Counted("pk", filter=~Q(missed="")),
        )
        .order_by()
    )
    wanted: list[dict[str, Any]] = [
        dict(row) for row in rows if scope.domains is None or domain_of(row["entry"]) in scope.domains
    ]
    return sorted(wanted, key=lambda row: (-row["missed_count"], -row["late"], row["entry"]))


def domain_of(entry: str) -> str:
    task = slots.entries().filter(pk=entry).values_list("task", flat=True).first()
    found = registry().of_task(task) if task else None
    return found.name if found else ""


def _row(scope: Scope, row: dict[str, Any]) -> Row:
    pruned = scope.is_pruned(scope.stretch, links.slots_kept_for(domain_of(row["entry"])))

    def count(value: int, became: str, tone: str = Tone.PLAIN) -> Count:
        link = "" if pruned else links.slots(scope.stretch, entry=row["entry"], became=became)
        return Count(value=value, link=link, is_pruned=pruned, tone=tone)

    return Row(
        cells=(
            Text(text=row["entry"]),
            count(row["due"], "due"),
            count(row["fired"], "fired"),
            count(row["late"], "late", Tone.BAD if row["late"] else Tone.PLAIN),
            count(row["missed_count"], "missed", Tone.BAD if row["missed_count"] else Tone.PLAIN),
        )
    )


def _kept(rows: list[dict[str, Any]], *, others: bool) -> str:
    times = sum(row["due"] for row in rows)
    if others:
        words = ngettext(
            "%(count)s other entry was due %(times)s, and was always fired in time.",
            "%(count)s other entries were due %(times)s, and were always fired in time.",
            len(rows),
        )
    else:
        words = ngettext(
            "The one entry that was due was so %(times)s, and was always fired in time.",
            "%(count)s entries were due %(times)s, and were always fired in time.",
            len(rows),
        )
    return words % {
        "count": wording.number(len(rows)),
        "times": _("once") if times == 1 else _("%(times)s times") % {"times": wording.number(times)},
    }
