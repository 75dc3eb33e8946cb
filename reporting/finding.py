"""Classes that are found by being in a file of a package, so that adding one takes nothing but its file."""

import importlib
import pkgutil
from collections.abc import Iterator
from inspect import isabstract
from types import ModuleType
from typing import Any


def classes_in(package: ModuleType, kind: type[Any]) -> Iterator[Any]:
    """Those of this kind that a file of the package itself defines, in the order of the files."""
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for one in vars(module).values():
            is_own = isinstance(one, type) and one.__module__ == module.__name__
            if is_own and issubclass(one, kind) and not isabstract(one):
                yield one
