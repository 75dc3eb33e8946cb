"""A template is looked at before it is saved: what nobody can send, or nobody should, is not kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from notifications import content, languages, sealing
from notifications.problems import Problem
from notifications.templating import declared, links, markup, variables
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources, UnusableTemplate, all_compiled
from routing.console.number_words import grouped

LONGEST = 300_000
"""Characters of subject, text and HTML together; an e-mail of that size is cut off by most readers."""
FIELDS = {"subject": "subject", "text": "text", "HTML": "html"}


@dataclass(frozen=True)
class Names:
    """The variables that a template uses, beside those that it declares."""

    undeclared: list[str]
    unused: list[str]


def all_problems(sources: Sources, translations: Mapping[str, Sources], variables: Sequence[Variable]) -> list[Problem]:
    """Of what it says in each language."""
    found = problems(sources, variables)
    for language, said in translations.items():
        name = languages.others().get(language)
        if name is None:
            known = ", ".join(languages.others())
            told = _("%(language)s is none to translate into; there are: %(known)s.")
            found.append(Problem("language", told % {"language": repr(language), "known": known}))
            continue
        theirs = problems(said, variables, language=language)
        told = _("in %(language)s %(what)s")
        found += [Problem(problem.field, told % {"language": name, "what": problem.detail}) for problem in theirs]
    return found


def problems(
    sources: Sources, variables: Sequence[Variable], *, channel: str = "email", language: str = ""
) -> list[Problem]:
    """All that keeps it from being saved, each with the cure."""
    found = list(source_problems(sources))
    if not found:
        found = list(_name_problems(sources, variables))
    if not found:
        found = list(_sample_problems(sources, variables, channel, language))
    return found


def source_problems(sources: Sources) -> Iterator[Problem]:
    if not sources.subject.strip():
        yield Problem("subject", _("is empty."))
    if not (sources.text.strip() or sources.html.strip()):
        yield Problem("html", _("is empty, and so is text; write at least one of them."))
    if sum(len(source) for _name, source in sources.parts) > LONGEST:
        told = _("is longer, together with subject and text, than %(most)s characters.")
        yield Problem("html", told % {"most": grouped(LONGEST)})
        return
    for name, _source in sources.parts:
        yield from _compile_problems(name, sources)
    if running := links.running(sources.html):
        yield Problem("html", _("has a link to %(link)s, which runs code; take it out.") % {"link": running})


def names(sources: Sources, declared_ones: Sequence[Variable], *, others: Iterable[Sources] = ()) -> Names:
    """``others``: what it says in other languages. Raises UnusableTemplate."""
    used = {name for said in (sources, *others) for template in all_compiled(said) for name in variables.used(template)}
    known = {variable.name for variable in declared_ones}
    return Names(undeclared=sorted(used - known - declared.ALWAYS_GIVEN.keys()), unused=sorted(known - used))


def rendered_problems(
    sources: Sources, values: Mapping[str, Any], *, channel: str, sender: str = "", language: str = ""
) -> Iterator[Problem]:
    """What is wrong with the message that these values make."""
    try:
        said = content.filled_in(sources, values, language=language)
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
        told = _("cannot be used: %(why)s")
        yield from (Problem("html", told % {"why": words}) for words in markup.problems(sources.html))


def _problem(error: UnusableTemplate) -> Problem:
    return Problem(FIELDS.get(error.part, "html"), error.detail.removeprefix(f"The {error.part} "))


def _name_problems(sources: Sources, declared_ones: Sequence[Variable]) -> Iterator[Problem]:
    found = names(sources, declared_ones)
    for name in found.undeclared:
        told = _("do not have %(name)s, which the template uses; say of it what it is.")
        yield Problem("variables", told % {"name": name})
    for variable in declared_ones:
        if variable.required and variable.name not in found.unused and variable.sample in ("", None):
            told = _("have no sample of %(name)s; the preview needs it.")
            yield Problem("variables", told % {"name": variable.name})


def _sample_problems(
    sources: Sources, declared_ones: Sequence[Variable], channel: str, language: str
) -> Iterator[Problem]:
    values = declared.samples(declared_ones)
    yield from rendered_problems(sources, values, channel=channel, language=language)
    for given, where in _reductions(values, declared_ones):
        if given != values:
            for problem in rendered_problems(sources, given, channel=channel, language=language):
                yield Problem(problem.field, f"{problem.detail.rstrip('.')}, {where}.")


def _reductions(
    values: Mapping[str, Any], declared_ones: Sequence[Variable]
) -> Iterator[tuple[Mapping[str, Any], str]]:
    needed = declared.ALWAYS_GIVEN.keys() | {variable.name for variable in declared_ones if variable.required}
    secret = {variable.name for variable in declared_ones if variable.secret}
    yield {name: value for name, value in values.items() if name in needed}, _("where only what is required is given")
    yield sealing.split(values, secret)[0], _("where it is shown with its secret values masked")
