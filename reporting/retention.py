"""Weekly reports that nobody looks up any more go, with the list of whom they were sent to."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet, Value

from reporting.models import ReportDelivery, ReportRun
from routing.ledger.retention.kinds import Rows, expiring


@expiring
class ReportRuns(Rows):
    kind = "weekly reports"
    labels = ("domain", "state")

    def rows(self) -> QuerySet[Any]:
        # By their key: there is one a week.
        old = ReportRun.objects.filter(built_at__lt=self.now - settings.TASKYARD_REPORTS_KEPT)
        return old.annotate(domain=Value("reporting"))

    def delete(self, keys: list[Any]) -> None:
        ReportDelivery.objects.using(self.using).filter(run__in=keys)._raw_delete(self.using)
        super().delete(keys)
