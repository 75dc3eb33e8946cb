"""A figure over 24 hours as a small picture, drawn on the server, and the same in words for whoever does not see it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from routing.console.number_words import grouped
from routing.console.time_words import short

T = TypeVar("T", int, float, timedelta)

HEIGHT = 16
STEP, BAR = 4, 3
Say = Callable[[T], str]


@dataclass(frozen=True)
class HourLine(Generic[T]):
    """``values``: one an hour, the oldest first; None where nothing is known of it."""

    hours: Sequence[datetime]
    values: Sequence[T | None]
    say: Say[T]

    @property
    def svg(self) -> SafeString:
        width, words = STEP * len(self.values) - (STEP - BAR), self.words
        return format_html(
            '<svg class="console-line" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
            '<title>{}</title><path d="{}"/></svg>',
            width, HEIGHT, words, words, self.path,
        )  # fmt: skip

    @property
    def path(self) -> str:
        """Of an SVG. What is not nothing is seen, however small; nothing is a line at the bottom."""
        top = max((_number(value) for value in self.values if value is not None), default=0.0)
        return "".join(
            f"M{STEP * place} {HEIGHT}v-{_tall(_number(value), top)}h{BAR}V{HEIGHT}z"
            for place, value in enumerate(self.values)
            if value is not None
        )

    @property
    def words(self) -> str:
        known = [(value, hour) for value, hour in zip(self.values, self.hours, strict=True) if value is not None]
        if not known:
            return _("24 h: nothing is known")
        most, at = max(known, key=lambda each: _number(each[0]))
        if not _number(most):
            return _("24 h: always %(least)s") % {"least": self.say(most)}
        last = known[-1][0] if self.values[-1] is not None else None
        now = _("; in this hour %(last)s") % {"last": self.say(last)} if last is not None else ""
        clock = timezone.localtime(at).strftime("%H:%M")
        return _("24 h: at most %(most)s, at %(at)s%(now)s") % {"most": self.say(most), "at": clock, "now": now}


def count_words(value: float) -> str:
    return grouped(value)


def time_words(value: timedelta) -> str:
    return short(value)


def second_words(value: float) -> str:
    return short(timedelta(seconds=value))


def _number(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _tall(value: float, top: float) -> str:
    return f"{max(HEIGHT * value / top, 2.0):.4g}" if value else "0.5"
