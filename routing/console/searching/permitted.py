"""Who may not see arguments may not look for what stands in them: the answer would tell."""

from dataclasses import replace

from django.utils.translation import gettext as _

from routing.console.searching.terms import Argument, Contains, Mistake, Search, Term


def permitted(search: Search, *, payloads: bool) -> Search:
    """The search; or why it is not made."""
    refused = [] if payloads else [term for term in search.terms if _looks_into_arguments(term)]
    mistakes = [
        Mistake(
            term.word,
            _("It looks into arguments, which you may not see."),
            _("Look by task, state, time or id; or have somebody give you “Can see arguments and results”."),
        )
        for term in refused
    ]
    return replace(search, mistakes=(*search.mistakes, *mistakes)) if mistakes else search


def _looks_into_arguments(term: Term) -> bool:
    return isinstance(term, Argument) or (isinstance(term, Contains) and term.what == "text")
