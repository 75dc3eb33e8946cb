"""What a table of a report holds: values with their type, so that each form shows them in its own way.

``link`` is the path of the admin page with the rows that a figure counts.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reporting.documents.storing import stored


class Tone(StrEnum):
    PLAIN = ""
    GOOD = "good"
    BAD = "bad"
    QUIET = "quiet"
    """Beside the point: what it was last week."""


@stored("text")
@dataclass(frozen=True, kw_only=True)
class Text:
    text: str
    link: str = ""
    tone: str = Tone.PLAIN


@stored("count")
@dataclass(frozen=True, kw_only=True)
class Count:
    """``is_pruned``: some of the rows that it counts are no longer kept, so no link can show them all."""

    value: int
    link: str = ""
    is_pruned: bool = False
    tone: str = Tone.PLAIN


@stored("share")
@dataclass(frozen=True, kw_only=True)
class Share:
    """From 0 to 1; None of nothing."""

    value: float | None
    tone: str = Tone.PLAIN


@stored("duration")
@dataclass(frozen=True, kw_only=True)
class Duration:
    """None where nothing was measured."""

    microseconds: int | None
    tone: str = Tone.PLAIN


@stored("moment")
@dataclass(frozen=True, kw_only=True)
class Moment:
    at: datetime | None
    tone: str = Tone.PLAIN


@stored("change")
@dataclass(frozen=True, kw_only=True)
class Change:
    """This period's value against that of the one before."""

    now: float
    before: float
    tone: str = Tone.PLAIN


Cell = Text | Count | Share | Duration | Moment | Change
