"""How the schedule is doing: what is due next, and a sentence with its cure for each entry that needs one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from shlex import quote

from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from routing.console.due_words import away, rough, when, zone_of
from routing.console.time_words import short, since
from routing.ledger import database
from routing.ledger.schedule_tables import ScheduleSlot
from routing.schedule import lapses, operating
from routing.schedule.lapses import Lapse
from routing.schedule.operating import Plan


class Need(Enum):
    """What an entry wants of people, the worst first."""

    BROKEN = "broken"
    PAUSED = "paused"
    OVERDUE = "overdue"
    """Due for more than a minute, and no beat has come to it."""
    LAPSED = "lapsed"
    """Missed or late, some time ago."""


Needs = dict[str, tuple[Need, str]]


@dataclass(frozen=True)
class ScheduleLife:
    plans: Sequence[Plan] = ()
    lately: Mapping[str, Lapse] = field(default_factory=dict)
    at: datetime = field(default_factory=timezone.now)
    """By the database's clock."""

    @property
    def needs(self) -> Needs:
        """By entry, what is to be said of it; those that are all right are not there."""
        language = get_language()
        if language not in self._said:
            said = {plan.entry.name: need_of(plan, self.lately.get(plan.entry.name), at=self.at) for plan in self.plans}
            self._said[language] = {name: need for name, need in said.items() if need}
        return self._said[language]

    @cached_property
    def _said(self) -> dict[str | None, Needs]:
        """By language: readers of several may share a look."""
        return {}

    def sentences(self, *needs: Need) -> list[str]:
        return [sentence for need, sentence in self.needs.values() if need in needs]

    @property
    def next(self) -> Plan | None:
        """What comes first of all, leaving out what should have come."""
        coming = [plan for plan in self.plans if plan.next_due and not (plan.is_paused or plan.late_by)]
        return min(coming, key=lambda plan: plan.next_due or self.at, default=None)

    @property
    def next_words(self) -> str:
        """“clean-up tomorrow 02:00 (in 5 h)”; empty where nothing comes."""
        return f"{self.next.entry.name} {due_words(self.next, at=self.at)}" if self.next else ""


def look() -> ScheduleLife:
    return ScheduleLife(operating.plans(), lapses.lately(), database.now())


def due_words(plan: Plan, *, at: datetime) -> str:
    """When it is due next, and how far away that is; a dash where it never is."""
    if plan.next_due is None:
        return "-"
    return f"{when(plan.next_due, at=at, zone=zone_of(plan.definition))} ({away(plan.next_due, at=at)})"


def need_of(plan: Plan, lapse: Lapse | None, *, at: datetime) -> tuple[Need, str] | None:
    if plan.definition is None:
        return Need.BROKEN, _broken(plan)
    if plan.is_paused:
        return Need.PAUSED, pause_sentence(plan)
    if plan.late_by:
        return Need.OVERDUE, _overdue(plan, at)
    return (Need.LAPSED, _lapsed(plan, lapse, at)) if lapse else None


def pause_sentence(plan: Plan) -> str:
    entry = plan.entry
    return _(
        "%(name)s has been paused since %(since)s, by %(by)s: %(reason)s. "
        "To go on: manage.py schedule resume %(quoted)s"
    ) % {
        "name": entry.name,
        "since": since(entry.paused_at) if entry.paused_at else "",
        "by": entry.paused_by,
        "reason": entry.pause_reason.rstrip("."),
        "quoted": quote(entry.name),
    }


def broken_sentence(plan: Plan) -> str:
    """For those who may not know what is in it."""
    return _("%(name)s is broken, so it never runs. What is wrong with it: manage.py schedule list") % {
        "name": plan.entry.name
    }


def _broken(plan: Plan) -> str:
    if plan.entry.trouble:
        return _("%(name)s is broken, so it never runs. %(trouble)s Correct it, and restart beat.") % {
            "name": plan.entry.name,
            "trouble": plan.entry.trouble,
        }
    return _("%(name)s comes from a newer release, which this one cannot read. Update this process, too.") % {
        "name": plan.entry.name
    }


def _overdue(plan: Plan, at: datetime) -> str:
    assert plan.next_due is not None  # noqa: S101  (what is late was due)
    return _(
        "%(name)s was due %(when)s, %(late)s ago, and no beat has come to it. See whether one runs, and what its log "
        "says: manage.py status"
    ) % {
        "name": plan.entry.name,
        "when": when(plan.next_due, at=at, zone=zone_of(plan.definition)),
        "late": rough(at - plan.next_due),
    }


def _lapsed(plan: Plan, lapse: Lapse, at: datetime) -> str:
    if lapse.last_missed:
        return _missed(plan, lapse.missed, lapse.last_missed, at)
    slot = lapse.last_late
    assert slot is not None  # noqa: S101  (a lapse is one of the two)
    words = ngettext(
        "%(name)s was fired %(late)s late: it was due %(when)s. What happened then is in beat's log.",
        "%(name)s was fired late %(count)d times; the last time, due %(when)s, by %(late)s. See beat's log.",
        lapse.late,
    )
    return words % {
        "name": plan.entry.name,
        "count": lapse.late,
        "late": short(slot.decided_at - slot.due_at),
        "when": when(slot.due_at, at=at, zone=zone_of(plan.definition)),
    }


def _missed(plan: Plan, count: int, slot: ScheduleSlot, at: datetime) -> str:
    words = ngettext(
        "%(name)s was not run when due %(when)s: %(why)s.",
        "%(name)s was not run %(count)d times; the last, due %(when)s: %(why)s.",
        count,
    )
    said = words % {
        "name": plan.entry.name,
        "count": count,
        "when": when(slot.due_at, at=at, zone=zone_of(plan.definition)),
        "why": slot.get_missed_display(),
    }
    cure = _("To make up for it: manage.py schedule run %(quoted)s") % {"quoted": quote(plan.entry.name)}
    # Of those, a later one has been fired.
    return said if slot.missed == ScheduleSlot.Missed.SUPERSEDED else f"{said} {cure}"


def lateness(slot: ScheduleSlot) -> timedelta | None:
    """By how much it was fired late; None if that is not worth a word."""
    late_by = slot.decided_at - slot.due_at
    return late_by if slot.task_id and not slot.asked_by and late_by > operating.LATE_AFTER else None
