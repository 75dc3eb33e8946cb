"""What is broken at this moment, as the console's survey sees it: what it names with its cure, and what was paused."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy

from reporting.documents.blocks import Block, Sentence
from reporting.documents.cells import Tone
from reporting.sections.schedule import domain_of
from reporting.sections.shape import Scope, Section
from routing.console.lives import pause_sentence
from routing.console.survey import Finding, Mark


class Wrong(Section):
    """Queues that nobody works, a relay or beat that is late, what is unreachable, entries that are overdue."""

    name = "wrong"
    title = gettext_lazy("Does not work")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        for finding in scope.survey.problems:
            if is_about(scope, finding):
                yield Sentence(text=finding.sentence, tone=Tone.BAD)


class Paused(Section):
    name = "paused"
    title = gettext_lazy("Paused by people")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        # Also where RabbitMQ, of which queues are, is away.
        for queue, paused in sorted(scope.survey.lives.paused.items()):
            if scope.is_about(queue.partition(".")[0]):
                yield Sentence(text=pause_sentence(paused))
        for finding in scope.survey.findings:
            if finding.mark is Mark.PAUSED and finding.subject.startswith("schedule ") and is_about(scope, finding):
                yield Sentence(text=finding.sentence)


class Lapsed(Section):
    """Due times that were missed or late these days, broken entries, and what domains tell."""

    name = "lapsed"
    title = gettext_lazy("Went wrong lately")

    def blocks(self, scope: Scope) -> Iterable[Block]:
        for finding in scope.survey.findings:
            if finding.mark is Mark.LOOK and is_about(scope, finding):
                yield Sentence(text=finding.sentence)


def is_about(scope: Scope, finding: Finding) -> bool:
    """Whether it concerns one of the domains: queues and entries have one each, and what all need concerns all."""
    kind, _space, name = finding.subject.partition(" ")
    if kind == "lane":
        return scope.is_about(name.partition(".")[0])
    return kind != "schedule" or not name or scope.is_about(domain_of(name))
