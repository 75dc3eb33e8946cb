"""What reports hold of a person: their subscription, what was sent to them, and errors in which they are named."""

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from reporting import forms
from reporting.runs.tables import ReportDelivery, ReportEdition, ReportRun
from reporting.subscribing.tables import Subscription
from routing.erasing import Kind, Term, erasable

NOBODY = "erased-{key}@erased.invalid"
"""An address each: there is one subscription to a report, and one delivery of it, for each address."""


@erasable
class Subscriptions(Kind):
    """They end."""

    kind = "report subscriptions"
    model, texts = Subscription, ("email", "name")

    def erase(self, row: Subscription, term: Term, *, by: str) -> None:
        ended_at = row.ended_at or timezone.now()
        rows = Subscription.objects.using(self.using).filter(pk=row.pk)
        rows.update(email=NOBODY.format(key=row.pk), name="", ended_at=ended_at)


@erasable
class Deliveries(Kind):
    kind = "reports sent"
    model, texts = ReportDelivery, ("address", "key")

    def erase(self, row: ReportDelivery, term: Term, *, by: str) -> None:
        rows = ReportDelivery.objects.using(self.using).filter(pk=row.pk)
        rows.update(address=NOBODY.format(key=row.pk), key=term.out_of(row.key))


@erasable
class Editions(Kind):
    """Their files first: should it die in between, it finds the row again.

    A file whose words cannot be searched for goes whole; the report can be built again.
    """

    kind = "reports"
    model, texts = ReportEdition, ("document",)

    def erase(self, row: ReportEdition, term: Term, *, by: str) -> None:
        kept = {}
        for form, name in row.files.items():
            if forms.is_text(form):
                _out_of_file(name, term)
                kept[form] = name
            else:
                default_storage.delete(name)
        rows = ReportEdition.objects.using(self.using).filter(pk=row.pk)
        rows.update(document=term.out_of_value(row.document), files=kept)


def _out_of_file(name: str, term: Term) -> None:
    if not default_storage.exists(name):
        return
    with default_storage.open(name) as file:
        told = term.out_of(file.read().decode(errors="surrogateescape"))
    default_storage.delete(name)
    default_storage.save(name, ContentFile(told.encode(errors="surrogateescape")))


@erasable
class Runs(Kind):
    kind = "figures of reports"
    model, texts = ReportRun, ("figures", "problem")

    def erase(self, row: ReportRun, term: Term, *, by: str) -> None:
        rows = ReportRun.objects.using(self.using).filter(pk=row.pk)
        rows.update(figures=term.out_of_value(row.figures), problem=term.out_of(row.problem))
