"""One entry of the schedule as a page to read: what it runs, when, what comes next and what became of the last ones."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils.translation import gettext as _

from routing.console import html, page_parts
from routing.console.page_parts import Value
from routing.console.schedule_life import ScheduleLife, due_words
from routing.console.schedule_rows import EntryRow, SlotRow, slot_rows
from routing.console.time_words import short
from routing.domains import registry
from routing.schedule import operating
from routing.schedule.definition import ALL, LATEST, SKIP, Definition
from routing.schedule.operating import Plan
from routing.schedule.timing import Interval

SHOWN = 20
"""Slots on the page; the list has all."""


@dataclass(frozen=True)
class EntryPage:
    row: EntryRow
    headline: str
    slots: list[SlotRow]
    values: list[Value]
    facts: list[tuple[str, str]]


def entry_page(row: EntryRow) -> EntryPage:
    """Asks the database for the last slots, and for the outcomes of their tasks."""
    plan, at = row.plan, row.life.at
    found = operating.last_slots(plan.entry.name, limit=SHOWN)
    return EntryPage(
        row=row,
        headline=row.sentence or _headline(plan, row.life),
        slots=slot_rows(found, plans=[plan], at=at),
        values=list(_values(plan.definition)) if plan.definition else [],
        facts=[(name, value) for name, value in _facts(plan) if value],
    )


def _headline(plan: Plan, life: ScheduleLife) -> str:
    if plan.entry.removed_at:
        return _("It is no longer in CELERY_BEAT_SCHEDULE, so it is never due.")
    if plan.next_due is None:
        return _("It is never due: no day is as its crontab asks.")
    return _("It is due next %(when)s.") % {"when": due_words(plan, at=life.at)}


def _values(definition: Definition) -> Iterator[Value]:
    for name, part, empty in (
        (_("Arguments"), definition.kwargs, {}),
        (_("Positional arguments"), definition.args, []),
        (_("Options"), definition.options, {}),
    ):
        yield from page_parts.value(name, json.dumps(part), empty=empty)


def _facts(plan: Plan) -> Iterator[tuple[str, str]]:
    entry, definition = plan.entry, plan.definition
    yield _("Task"), entry.task
    if definition:
        domain = registry().of_task(definition.task)
        yield _("Domain"), domain.title if domain else ""
        yield _("Queue"), str(definition.options.get("queue") or "")
        yield _("Due"), str(definition.timing)
        yield _("What was missed"), policy_words(definition)
        yield _("Counted from"), _origin(plan, definition)
    yield _("By the code of the beat started"), html.plain_clock(entry.defined_at)
    yield _("Removed"), html.plain_clock(entry.removed_at) if entry.removed_at else ""
    yield _("Last resumed"), _resumed(plan)


def _origin(plan: Plan, definition: Definition) -> str:
    is_own = isinstance(definition.timing, Interval) and not definition.timing.by_the_clock
    return html.plain_clock(plan.entry.anchor) if is_own else ""


def policy_words(definition: Definition) -> str:
    if definition.missed == SKIP and definition.deadline is None:
        return _("none is run that is more than a minute late")
    said = {
        LATEST: _("the last one is run as soon as a beat is there"),
        # With a deadline of its own, that one decides.
        SKIP: _("the last one is run as soon as a beat is there"),
        ALL: _("each is run as soon as a beat is there"),
    }[definition.missed]
    if definition.deadline is None:
        return said
    longest = short(timedelta(seconds=definition.deadline))
    return _("%(policy)s, if it is not more than %(longest)s late") % {"policy": said, "longest": longest}


def _resumed(plan: Plan) -> str:
    entry = plan.entry
    if entry.resumed_at is None:
        return ""
    return _("%(at)s, by %(who)s") % {"at": html.plain_clock(entry.resumed_at), "who": entry.resumed_by}
