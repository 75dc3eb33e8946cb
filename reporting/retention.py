"""Reports that nobody looks up any more go, with their files and the list of whom they were sent to."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet, Value
from django.utils.translation import gettext_noop

from reporting.models import ReportDelivery, ReportEdition, ReportRun, RollUp
from reporting.rollups import gathering
from reporting.runs import storage
from routing.ledger.retention.kinds import Rows, counted_before_it_goes, expiring

CATCH_UP = timedelta(minutes=3)
"""What a clean-up gives the roll-ups, which are some minutes behind at most as long as beat runs."""


@counted_before_it_goes
def _rolled_up() -> datetime | None:
    return gathering.roll_up(budget=CATCH_UP).complete_until


@expiring
class ReportRuns(Rows):
    kind = gettext_noop("reports")
    labels = ("domain", "state")

    def rows(self) -> QuerySet[Any]:
        # By their key: there are few.
        old = ReportRun.objects.filter(built_at__lt=self.now - settings.TASKYARD_REPORTS_KEPT)
        return old.annotate(domain=Value("reporting"))

    def delete(self, keys: list[Any]) -> None:
        editions = ReportEdition.objects.using(self.using).filter(run__in=keys)
        for edition in editions.only("files"):
            # First, so that a death in between leaves rows that tell of them.
            storage.discard(edition)
        for run in ReportRun.objects.using(self.using).filter(pk__in=keys).only("report", "period"):
            storage.discard_letters(run)
        ReportDelivery.objects.using(self.using).filter(run__in=keys)._raw_delete(self.using)
        editions._raw_delete(self.using)
        super().delete(keys)


@expiring
class RollUps(Rows):
    kind = gettext_noop("roll-ups")
    labels = ("domain", "outcome")
    by = "hour"

    def rows(self) -> QuerySet[Any]:
        return RollUp.objects.filter(hour__lt=self.now - settings.TASKYARD_ROLLUPS_KEPT)
