"""The forms a report comes in: each file here that holds a ``Form`` is one, found by being there."""

import sys
from functools import cache

from reporting.finding import classes_in
from reporting.forms.shape import Form


class NoSuchForm(ValueError):
    """The message lists those there are."""


@cache
def forms() -> dict[str, Form]:
    """By name, in the order of the names."""
    found: list[Form] = [kind() for kind in classes_in(sys.modules[__name__], Form)]
    return {form.name: form for form in sorted(found, key=lambda form: form.name)}


def attachable() -> dict[str, Form]:
    """Those that can go with a mail."""
    return {name: form for name, form in forms().items() if form.goes_with_mail}


def titles(chosen: str) -> list[str]:
    """Of these, named with commas between; one that is gone keeps its name."""
    return [str(forms()[name].title) if name in forms() else name for name in filter(None, chosen.split(","))]


def is_text(name: str) -> bool:
    """Whether the words of its files can be searched for; of a form that is gone, they cannot."""
    return name in forms() and forms()[name].is_text


def named(name: str) -> Form:
    """Raises NoSuchForm."""
    try:
        return forms()[name]
    except KeyError:
        raise NoSuchForm(f"There is no form {name!r}. There are: {', '.join(forms())}.") from None
