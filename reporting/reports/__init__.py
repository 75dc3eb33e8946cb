"""The reports there are: each file here that holds a ``Report`` is one, found by being there."""

import sys
from functools import cache

from reporting.finding import classes_in
from reporting.reports.shape import Report


class NoSuchReport(ValueError):
    """The message lists those there are."""


@cache
def reports() -> dict[str, Report]:
    """By name, in the order of the names."""
    found: list[Report] = [kind() for kind in classes_in(sys.modules[__name__], Report)]
    return {report.name: report for report in sorted(found, key=lambda report: report.name)}


def named(name: str) -> Report:
    """Raises NoSuchReport."""
    try:
        return reports()[name]
    except KeyError:
        raise NoSuchReport(f"There is no report {name!r}. There are: {', '.join(reports())}.") from None
