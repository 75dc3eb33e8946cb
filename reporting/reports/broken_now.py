"""What is broken now, for those who want to know each morning; nobody is told that nothing is."""

from collections.abc import Iterator
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from reporting import wording
from reporting.days import Day
from reporting.documents.cells import Tone
from reporting.documents.document import Document, Part
from reporting.reports.shape import Report
from reporting.sections import open_letters
from reporting.sections.broken import Lapsed, Paused, Wrong
from reporting.sections.open_letters import OpenLetters
from reporting.sections.shape import Scope


class BrokenNow(Report):
    name = "broken-now"
    title = gettext_lazy("What is broken now")
    sections = (Wrong, OpenLetters, Lapsed, Paused)

    def period_of(self, moment: datetime) -> Day:
        # It tells of the moment; its period only says which day's it is.
        return Day.of(moment)

    def parse_period(self, text: str) -> Day:
        return Day.parse(text)

    def is_worth_sending(self, document: Document) -> bool:
        return document.tone == Tone.BAD

    def conclude(self, scope: Scope, parts: tuple[Part, ...]) -> Document:
        clauses = list(_clauses(scope, parts))
        said = wording.joined(clauses) if clauses else _("nothing is broken")
        return Document(
            report=self.name,
            title=str(self.title),
            period=str(scope.period),
            period_words=wording.moment(scope.now),
            subject=_("Taskyard: %(said)s") % {"said": said},
            verdict=f"{wording.capital(said)}.",
            tone=Tone.BAD if clauses else Tone.GOOD,
            built_at=scope.now,
            domains=tuple(sorted(scope.domains or ())),
            parts=parts,
        )


def _clauses(scope: Scope, parts: tuple[Part, ...]) -> Iterator[str]:
    found = {part.name: len(part.blocks) for part in parts}
    if wrong := found.get("wrong", 0):
        yield ngettext("%(count)s thing does not work", "%(count)s things do not work", wrong) % {
            "count": wording.number(wrong)
        }
    if letters := open_letters.count(scope):
        words = ngettext(
            "%(count)s failed task waits for a decision", "%(count)s failed tasks wait for a decision", letters
        )
        yield words % {"count": wording.number(letters)}
    if lapsed := found.get("lapsed", 0):
        yield ngettext("%(count)s thing went wrong lately", "%(count)s things went wrong lately", lapsed) % {
            "count": wording.number(lapsed)
        }
    if paused := found.get("paused", 0):
        yield ngettext("%(count)s thing is paused", "%(count)s things are paused", paused) % {
            "count": wording.number(paused)
        }
