"""What an entry of the schedule and its slots say to people: state, next due time, what became of the last ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from django.contrib.admin.utils import quote
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from routing.console import html, schedule_life
from routing.console.due_words import rhythm, when, zone_of
from routing.console.page_parts import Relative, relatives
from routing.console.result_rows import StateWord
from routing.console.schedule_life import Need, ScheduleLife, due_words
from routing.console.time_words import short
from routing.ledger.enqueue import OUTCOMES
from routing.ledger.schedule_tables import ScheduleSlot
from routing.schedule import operating
from routing.schedule.operating import Plan

RIGHT = StateWord("ok", gettext_lazy("all right"), "success")
REMOVED = StateWord("removed", gettext_lazy("removed"))
STATES = {
    Need.BROKEN: StateWord("broken", gettext_lazy("broken"), "danger"),
    Need.PAUSED: StateWord("paused", gettext_lazy("paused"), "warning"),
    Need.OVERDUE: StateWord("overdue", gettext_lazy("overdue"), "danger"),
}
MISSED = StateWord("missed", gettext_lazy("missed"), "warning")
LATE = StateWord("late", gettext_lazy("was late"), "warning")
FIRED = StateWord("fired", gettext_lazy("fired"), "success")
BY_HAND = StateWord("by hand", gettext_lazy("by hand"), "info")


@dataclass(frozen=True)
class SlotRow:
    """``outcome`` is what became of the task; None where none was enqueued."""

    slot: ScheduleSlot
    zone: ZoneInfo
    at: datetime
    outcome: Relative | None

    @property
    def state(self) -> StateWord:
        if self.slot.missed:
            return MISSED
        return BY_HAND if self.slot.asked_by else FIRED

    @property
    def due(self) -> str:
        return when(self.slot.due_at, at=self.at, zone=self.zone)

    @property
    def late_by(self) -> timedelta | None:
        return schedule_life.lateness(self.slot)

    @property
    def why(self) -> str:
        """Why it was missed, how late it was, or who had it run; empty where there is nothing to tell."""
        if self.slot.missed:
            reason = str(self.slot.get_missed_display())
            return f"{reason}: {self.slot.detail}" if self.slot.detail else reason
        if self.slot.asked_by:
            return _("for %(who)s") % {"who": self.slot.asked_by}
        return _("%(late)s late") % {"late": short(self.late_by)} if self.late_by else ""

    @property
    def is_in_flight(self) -> bool:
        return bool(self.outcome and self.outcome.state and self.outcome.state.value not in OUTCOMES)

    @property
    def task_state(self) -> str:
        """In a word: empty where there is no task."""
        if self.outcome is None:
            return ""
        return str(self.outcome.state.word) if self.outcome.state else _("pruned")


@dataclass(frozen=True)
class EntryRow:
    plan: Plan
    life: ScheduleLife
    last: SlotRow | None

    @property
    def name(self) -> str:
        return self.plan.entry.name

    @cached_property
    def need(self) -> tuple[Need, str] | None:
        return None if self.plan.entry.removed_at else self.life.needs.get(self.name)

    @property
    def sentence(self) -> str:
        return self.need[1] if self.need else ""

    @property
    def state(self) -> StateWord:
        if self.plan.entry.removed_at:
            return REMOVED
        if self.need is None:
            return RIGHT
        if state := STATES.get(self.need[0]):
            return state
        return MISSED if self.life.lately[self.name].last_missed else LATE

    @property
    def rhythm(self) -> str:
        return rhythm(self.plan.definition.timing) if self.plan.definition else self.plan.entry.timing or "-"

    @property
    def due(self) -> str:
        if self.plan.is_paused:
            return _("not while it is paused")
        return due_words(self.plan, at=self.life.at) if self.plan.next_due else _("never")

    @property
    def last_words(self) -> str:
        """“today 02:00, success”."""
        if self.last is None:
            return _("never")
        told = [self.last.due]
        if self.last.slot.missed:
            told.append(_("missed"))
        elif self.last.slot.asked_by:
            told.append(_("by hand"))
        elif self.last.late_by:
            told.append(self.last.why)
        return ", ".join([*told, *filter(None, [self.last.task_state])])


def entry_rows(life: ScheduleLife, *, plans: Sequence[Plan] | None = None) -> list[EntryRow]:
    """Of these entries, by default of all that are in the code. Three queries, however many they are."""
    plans = life.plans if plans is None else plans
    newest = operating.last_slot_of_each()
    last = {row.slot.entry: row for row in slot_rows(newest.values(), plans=plans, at=life.at)}
    return [EntryRow(plan, life, last.get(plan.entry.name)) for plan in plans]


def slot_rows(slots: Iterable[ScheduleSlot], *, plans: Iterable[Plan], at: datetime) -> list[SlotRow]:
    """With the outcomes of their tasks, in two queries."""
    slots = list(slots)
    zones = {plan.entry.name: zone_of(plan.definition) for plan in plans}
    found = outcomes(slot.task_id for slot in slots)
    return [SlotRow(slot, zones.get(slot.entry) or zone_of(None), at, found.get(slot.task_id)) for slot in slots]


def outcomes(task_ids: Iterable[str]) -> Mapping[str, Relative]:
    wanted = [("", task_id) for task_id in dict.fromkeys(task_ids) if task_id]
    return {found.task_id: found for found in relatives(wanted, but="")}


def task_of(row: SlotRow) -> SafeString | str | None:
    """Its outcome, which leads to its page."""
    found = row.outcome
    if found is None:
        return None
    if found.state is None:
        return row.task_state
    return format_html('<a href="{}" title="{}">{}</a>', found.url, found.task_id, html.state_label(found.state))


def entry_url(name: str, verb: str = "change") -> str:
    return reverse(f"admin:routing_scheduleentry_{verb}", args=[quote(name)])
