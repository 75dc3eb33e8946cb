"""What the ledger keeps beside results: dead letters, keys, groups and what chords and cancellations left behind."""

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_noop
from django_celery_results.models import ChordCounter, GroupResult

from routing.domains import Retention
from routing.ledger import database, terminations
from routing.ledger.chords import lost_chords
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.job_tables import CauseNote, Job
from routing.ledger.retention import policy
from routing.ledger.retention.kinds import Rows
from routing.ledger.tables import DeadLetter, Message, UniqueKey

CLEANUPS_KEPT = timedelta(days=365)
DECISIONS_KEPT = timedelta(days=365)


class LostChords(Rows):
    kind = gettext_noop("lost chords")

    def __init__(self, now: Any) -> None:
        super().__init__(now)
        self._lost: list[int] | None = None

    def rows(self) -> Any:
        if self._lost is None:
            self._lost = lost_chords(self.now)
        return ChordCounter.objects.filter(pk__in=self._lost)

    @property
    def using(self) -> str:
        return database.using()


class DeadLetters(Rows):
    """By what their domain declares; those of a domain that is gone by the default."""

    kind = gettext_noop("dead letters")
    by = "dead_at"
    labels = ("domain", "state")

    def rows(self) -> QuerySet[DeadLetter]:
        return DeadLetter.objects.filter(dead_at__lt=self.now - min(self._ages().values()))

    def due(self) -> Q:
        kept = self._ages()
        other = ~Q(domain__in=kept) & Q(dead_at__lt=self.now - Retention().of_dead_letters)
        for domain, age in kept.items():
            other |= Q(domain=domain, dead_at__lt=self.now - age)
        return other

    def _ages(self) -> dict[str, timedelta]:
        return {domain: kept.of_dead_letters for domain, kept in policy.declared().items()}


class UniqueKeys(Rows):
    """Those whose period is over, and whose task is too."""

    kind = gettext_noop("unique keys")

    def rows(self) -> QuerySet[UniqueKey]:
        return UniqueKey.objects.all()

    def due(self) -> Q:
        # An enqueuing that takes the key over sets another period in the row, and who waits for it looks again.
        return Q(~Exists(Message.objects.filter(pk=OuterRef("task_id"))), expires_at__lt=self.now)


class Terminations(Rows):
    kind = gettext_noop("terminations")

    def rows(self) -> Any:
        return terminations.old(self.now)


class Groups(Rows):
    """They go when no result of a member can be left."""

    kind = gettext_noop("groups")
    by = "date_done"

    def rows(self) -> Any:
        return GroupResult.objects.filter(date_done__lt=self.now - policy.longest())

    @property
    def using(self) -> str:
        return database.using()


class Jobs(Rows):
    """Those that have ended."""

    kind = gettext_noop("jobs")

    def rows(self) -> QuerySet[Job]:
        return Job.objects.exclude(state=Job.State.OPEN).filter(ended_at__lt=self.now - DECISIONS_KEPT)


class Notes(Rows):
    """Those about causes of which no letter is left."""

    kind = gettext_noop("notes about causes")

    def rows(self) -> QuerySet[CauseNote]:
        return CauseNote.objects.filter(at__lt=self.now - DECISIONS_KEPT)

    def due(self) -> Q:
        return ~Q(Exists(DeadLetter.objects.filter(fingerprint=OuterRef("fingerprint"))))


class Cleanups(Rows):
    """The clean-up's own records."""

    kind = gettext_noop("records of clean-ups")

    def rows(self) -> QuerySet[Cleanup]:
        return Cleanup.objects.filter(started_at__lt=self.now - CLEANUPS_KEPT)

    def delete(self, keys: list[Any]) -> None:
        Removal.objects.using(self.using).filter(cleanup_id__in=keys)._raw_delete(self.using)
        super().delete(keys)
