"""The reports there are: each file here that holds a ``Report`` with a name is one, found by being there."""

import importlib
import pkgutil
from functools import cache

from reporting.reports.shape import Report


class NoSuchReport(ValueError):
    """The message lists those there are."""


@cache
def reports() -> dict[str, Report]:
    """By name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found = [kind() for kind in Report.__subclasses__()]
    return {report.name: report for report in sorted(found, key=lambda report: report.name)}


def named(name: str) -> Report:
    """Raises NoSuchReport."""
    try:
        return reports()[name]
    except KeyError:
        raise NoSuchReport(f"There is no report {name!r}. There are: {', '.join(reports())}.") from None
