"""A template is looked at before it is saved: what nobody can send, or nobody should, is not kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifications import content, sealing
from notifications.problems import Problem
from notifications.templating import declared, links, markup, variables
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources, UnusableTemplate, all_compiled

LONGEST = 300_000
"""Characters of subject, text and HTML together; an e-mail of that size is cut off by most readers."""
FIELDS = {"subject": "subject", "text": "text", "HTML": "html"}


@dataclass(frozen=True)
class Names:
    """The variables that a template uses, beside those that it declares."""

    undeclared: list[str]
    unused: list[str]


def problems(sources: Sources, variables: Sequence[Variable], *, channel: str = "email") -> list[Problem]:
    """All that keeps it from being saved, each with the cure."""
    found = list(source_problems(sources))
    if not found:
        found = list(_name_problems(sources, variables))
    if not found:
        found = list(_sample_problems(sources, variables, channel))
    return found


def source_problems(sources: Sources) -> Iterator[Problem]:
    if not sources.subject.strip():
        yield Problem("subject", "is empty.")
    if not (sources.text.strip() or sources.html.strip()):
        yield Problem("html", "is empty, and so is text; write at least one of them.")
    if sum(len(source) for _, source in sources.parts) > LONGEST:
        yield Problem("html", f"is longer, together with subject and text, than {LONGEST:,} characters.")
        return
    for name, _ in sources.parts:
        yield from _compile_problems(name, sources)
    if running := links.running(sources.html):
        yield Problem("html", f"has a link to {running}, which runs code; take it out.")


def names(sources: Sources, declared_ones: Sequence[Variable]) -> Names:
    """Raises UnusableTemplate."""
    used = set[str]().union(*(variables.used(template) for template in all_compiled(sources)))
    known = {variable.name for variable in declared_ones}
    return Names(undeclared=sorted(used - known - declared.ALWAYS_GIVEN.keys()), unused=sorted(known - used))


def rendered_problems(
    sources: Sources, values: Mapping[str, Any], *, channel: str, sender: str = ""
) -> Iterator[Problem]:
    """What is wrong with the message that these values make."""
    try:
        said = content.filled_in(sources, values)
    except UnusableTemplate as error:
        yield _problem(error)
        return
    yield from content.problems(said, channel=channel, sender=sender)


def _compile_problems(name: str, sources: Sources) -> Iterator[Problem]:
    alone = Sources(**{"subject": "", "text": "", "html": "", FIELDS[name]: dict(sources.parts)[name]})
    try:
        all_compiled(alone)
    except UnusableTemplate as error:
        yield _problem(error)
        return
    if name == "HTML":
        yield from (Problem("html", f"cannot be used: {words}") for words in markup.problems(sources.html))


def _problem(error: UnusableTemplate) -> Problem:
    return Problem(FIELDS.get(error.part, "html"), error.detail.removeprefix(f"The {error.part} "))


def _name_problems(sources: Sources, declared_ones: Sequence[Variable]) -> Iterator[Problem]:
    found = names(sources, declared_ones)
    for name in found.undeclared:
        yield Problem("variables", f"do not have {name}, which the template uses; say of it what it is.")
    for variable in declared_ones:
        if variable.required and variable.name not in found.unused and variable.sample in ("", None):
            yield Problem("variables", f"have no sample of {variable.name}; the preview needs it.")


def _sample_problems(sources: Sources, declared_ones: Sequence[Variable], channel: str) -> Iterator[Problem]:
    values = declared.samples(declared_ones)
    yield from rendered_problems(sources, values, channel=channel)
    for given, where in _reductions(values, declared_ones):
        if given != values:
            for problem in rendered_problems(sources, given, channel=channel):
                yield Problem(problem.field, f"{problem.detail.rstrip('.')}, {where}.")


def _reductions(
    values: Mapping[str, Any], declared_ones: Sequence[Variable]
) -> Iterator[tuple[Mapping[str, Any], str]]:
    needed = declared.ALWAYS_GIVEN.keys() | {variable.name for variable in declared_ones if variable.required}
    secret = {variable.name for variable in declared_ones if variable.secret}
    yield {name: value for name, value in values.items() if name in needed}, "where only what is required is given"
    yield sealing.split(values, secret)[0], "where it is shown with its secret values masked"
