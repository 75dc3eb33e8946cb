"""The week of the pipeline, for those who read one mail about it on Monday."""

from datetime import datetime

from reporting.documents.document import Document, Part
from reporting.periods import Period
from reporting.reports.shape import Report
from reporting.sections.shape import Scope
from reporting.weeks import Week


class Weekly(Report):
    name = "weekly"
    title = "Weekly report"
    sections = ()

    def period_of(self, moment: datetime) -> Week:
        return Week.of(moment).previous()

    def parse_period(self, text: str) -> Period:
        return Week.parse(text)

    def conclude(self, scope: Scope, parts: tuple[Part, ...]) -> Document:
        return Document(
            report=self.name,
            title=self.title,
            period=str(scope.period),
            period_words=scope.period.words,
            subject=f"Taskyard {scope.period}",
            verdict="A quiet week: no task ran, so nothing could go wrong.",
            built_at=scope.now,
            domains=tuple(sorted(scope.domains or ())),
            parts=parts,
        )
