"""Cells in words, for whoever reads them: short enough for a narrow column."""

from django.conf import settings
from django.utils.translation import gettext as _

from reporting import wording
from reporting.documents.cells import Cell, Change, Count, Duration, Moment, Share, Text

PRUNED = "†"
"""Marks a figure whose rows are no longer all kept."""


def say(cell: Cell) -> str:
    match cell:
        case Text():
            return cell.text
        case Count():
            return wording.number(cell.value) + (f" {PRUNED}" if cell.is_pruned else "")
        case Share():
            return wording.share(cell.value)
        case Duration():
            return wording.micro(cell.microseconds)
        case Moment():
            return wording.moment(cell.at) if cell.at else wording.NOTHING
        case Change():
            return wording.change(cell.now, cell.before) if cell.before else wording.NOTHING


def link_of(cell: Cell) -> str:
    return cell.link if isinstance(cell, Text | Count) else ""


def whole(path: str) -> str:
    """The address that a mail needs."""
    return f"{settings.SITE_URL}{path}" if path.startswith("/") else path


def pruned_note() -> str:
    return _("%(mark)s The rows that it counts are no longer all kept.") % {"mark": PRUNED}
