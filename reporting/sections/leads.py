"""Words of a verdict that lead to the rows they count: of one clause after the other, in the verdict's order."""

from collections.abc import Iterator

from celery import states
from django.utils.translation import gettext as _

from reporting import wording
from reporting.documents.blocks import Link
from reporting.sections import links, unfinished
from reporting.sections.domains import place
from reporting.sections.shape import Scope


def of_finished(scope: Scope, total: int) -> Iterator[Link]:
    """All of them have finished."""
    if path := _results(scope):
        yield Link(text=_("one task") if total == 1 else wording.tasks(total), path=path)


def of_unfinished(scope: Scope, waiting: int, total: int) -> Iterator[Link]:
    """Some have not finished; ``total`` counts what has as well."""
    yield Link(text=wording.number(waiting), path=unfinished.link(scope))
    if scope.keeps_results():
        path = links.tasks(scope.stretch, due=unfinished.due_before(scope), domains=scope.domains)
        yield Link(text=wording.tasks(total), path=path)


def of_failed(scope: Scope) -> Iterator[Link]:
    failing = {name: sum_.failed for name, sum_ in scope.this.domains.items() if sum_.failed}
    if len(failing) == 1:
        ((name, failed),) = failing.items()
        yield from _failed_in(scope, name, wording.failed(failed))
        return
    if failing and (path := _results(scope, outcome=states.FAILURE)):
        yield Link(text=wording.failed(sum(failing.values())), path=path)
    for name, failed in sorted(failing.items(), key=lambda each: (-each[1], each[0])):
        yield from _failed_in(scope, name, wording.failed_in(place(name), failed))


def _failed_in(scope: Scope, domain: str, text: str) -> Iterator[Link]:
    count = scope.counted(0, domain=domain, outcome=states.FAILURE)
    if count.link:
        yield Link(text=text, path=count.link)


def _results(scope: Scope, *, outcome: str = "") -> str:
    """Of all domains that the report is about; empty where not all of the rows are kept."""
    return links.results(scope.stretch, domains=scope.domains, outcome=outcome) if scope.keeps_results(outcome) else ""
