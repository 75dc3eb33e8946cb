"""The forms a report comes in: each file here that holds a ``Form`` with a name is one, found by being there."""

import importlib
import pkgutil
from functools import cache

from reporting.forms.shape import Form


class NoSuchForm(ValueError):
    """The message lists those there are."""


@cache
def forms() -> dict[str, Form]:
    """By name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found = [kind() for kind in Form.__subclasses__()]
    return {form.name: form for form in sorted(found, key=lambda form: form.name)}


def named(name: str) -> Form:
    """Raises NoSuchForm."""
    try:
        return forms()[name]
    except KeyError:
        raise NoSuchForm(f"There is no form {name!r}. There are: {', '.join(forms())}.") from None
