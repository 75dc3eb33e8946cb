"""What is broken now, for those who want to know each morning; nobody is told that nothing is."""

from datetime import datetime

from reporting.days import Day
from reporting.documents.cells import Tone
from reporting.documents.document import Document, Part
from reporting.periods import Period
from reporting.reports.shape import Report
from reporting.sections.shape import Scope


class BrokenNow(Report):
    name = "broken-now"
    title = "What is broken now"
    sections = ()

    def period_of(self, moment: datetime) -> Day:
        # It tells of the moment; its period only says which day's it is.
        return Day.of(moment)

    def parse_period(self, text: str) -> Period:
        return Day.parse(text)

    def is_worth_sending(self, document: Document) -> bool:
        return document.tone == Tone.BAD

    def conclude(self, scope: Scope, parts: tuple[Part, ...]) -> Document:
        return Document(
            report=self.name,
            title=self.title,
            period=str(scope.period),
            period_words=scope.period.words,
            subject="Taskyard: nothing is broken",
            verdict="Nothing is broken.",
            built_at=scope.now,
            domains=tuple(sorted(scope.domains or ())),
            parts=parts,
        )
