"""Slots of the schedule: what was fired goes as the successes of its task's domain do, what was missed as failures.

Whatever is gone is not fired again: its entry knows up to when it is decided. Entries that left the code go after them.
"""

from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.db.models import Case, Exists, Max, OuterRef, Q, QuerySet, Value, When
from django.utils.translation import gettext_noop

from routing.ledger import database
from routing.ledger.retention import policy
from routing.ledger.retention.kinds import Rows
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot


class Slots(Rows):
    kind = gettext_noop("slots")
    by = "due_at"
    labels = ("domain", "outcome")

    def rows(self) -> QuerySet[Any]:
        youngest = min(min(kept.by_outcome.values()) for kept in policy.declared().values())
        whose = [When(entry__in=names, then=Value(domain)) for domain, names in self._entries().items()]
        return ScheduleSlot.objects.filter(due_at__lt=self.now - youngest).annotate(
            domain=Case(*whose, default=Value(policy.NO_DOMAIN)),
            outcome=Case(When(missed="", then=Value("fired")), default=Value("missed")),
        )

    def due(self) -> Q:
        entries, due = self._entries(), Q()
        for domain, kept in policy.declared().items():
            own = Q(entry__in=entries[domain])
            if domain == policy.NO_DOMAIN:
                own = ~Q(entry__in=[name for names in entries.values() for name in names])
            due |= own & (self._older(kept.success, missed=False) | self._older(kept.failure, missed=True))
        return due

    def _older(self, age: timedelta, *, missed: bool) -> Q:
        fired = Q(missed="")
        return Q(~fired if missed else fired, due_at__lt=self.now - age)

    def _entries(self) -> dict[str, list[str]]:
        """By domain; those of none, and those that are no longer known, are left out."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, task in ScheduleEntry.objects.using(database.using()).values_list("name", "task"):
            if domain := policy.domain_of(task):
                found[domain].append(name)
        return found


class Entries(Rows):
    """Those that left the code, once their slots are gone and they could have none left.

    What is paused stays: in a release that has it again, it must not run because a clean-up forgot the pause. And of
    those that were registered last one must stay, which keeps a beat that was started before that from registering.
    """

    kind = gettext_noop("schedule entries")

    def rows(self) -> QuerySet[ScheduleEntry]:
        return ScheduleEntry.objects.filter(removed_at__lt=self.now - policy.longest())

    def due(self) -> Q:
        slots = ScheduleSlot.objects.filter(entry=OuterRef("name"))
        last = ScheduleEntry.objects.using(database.using()).aggregate(last=Max("defined_at"))["last"]
        return Q(~Exists(slots), paused_at=None, defined_at__lt=last or self.now)
