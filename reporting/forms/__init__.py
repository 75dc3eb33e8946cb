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


def is_text(name: str) -> bool:
    """Whether the words of its files can be searched for; of a form that is gone, they cannot."""
    return name in forms() and forms()[name].is_text


def named(name: str) -> Form:
    """Raises NoSuchForm."""
    try:
        return forms()[name]
    except KeyError:
        raise NoSuchForm(f"There is no form {name!r}. There are: {', '.join(forms())}.") from None
