"""How the report says things: the verdict in one sentence, numbers, shares and times as people read them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from reporting.figures import UNCLAIMED, Cleanups, Figures, Line, Tally
from reporting.weeks import Week

NOTHING = "\N{EN DASH}"


def verdict(figures: Figures) -> str:
    """The week in one sentence."""
    if not figures.finished:
        return _without_results(figures)
    clauses = [_opening(figures), *_failures(figures), *_revoked(figures)]
    return "; ".join(clauses) + "."


def subject(figures: Figures) -> str:
    week = f"week {figures.week.number}" if figures.is_over else f"week {figures.week.number} so far"
    if not figures.finished:
        return f"Taskyard {week}: no task finished"
    failed = f"{number(figures.failed)} failed" if figures.failed else "none failed"
    return f"Taskyard {week}: {counted(figures.finished, 'task')} finished, {failed}"


def cleanups(ran: Cleanups) -> str:
    """What they removed, the most first."""
    if not ran.count:
        return "No clean-up ran in this week, so nothing that is past its retention was removed."
    rows = sum(ran.removed.values())
    if not rows:
        return f"{counted(ran.count, 'clean-up')} ran in this week and found nothing past its retention."
    kinds = sorted(ran.removed.items(), key=lambda item: -item[1])
    told = ", ".join(f"{kind} {number(count)}" for kind, count in kinds)
    return f"{counted(ran.count, 'clean-up')} removed {counted(rows, 'row')} past their retention: {told}."


def days(week: Week) -> str:
    """Such as “9 to 15 November 2026”."""
    first, last = week.monday, week.sunday
    if first.year != last.year:
        return f"{first.day} {first:%B %Y} to {last.day} {last:%B %Y}"
    if first.month != last.month:
        return f"{first.day} {first:%B} to {last.day} {last:%B %Y}"
    return f"{first.day} to {last.day} {last:%B %Y}"


def moment(when: datetime) -> str:
    """Such as “9 Nov 2026, 14:05”, in the project's time zone."""
    local = timezone.localtime(when, timezone.get_default_timezone())
    return f"{local.day} {local:%b %Y, %H:%M}"


def number(value: int) -> str:
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def share(rate: float | None) -> str:
    """A percentage that never rounds something to nothing, or almost all to all."""
    if rate is None:
        return NOTHING
    if 0 < rate < 0.001:
        return "<0.1%"
    if 0.999 < rate < 1:
        return ">99.9%"
    return f"{rate * 100:.1f}".removesuffix(".0") + "%"


def shortened(text: str, longest: int) -> str:
    """On one line, and no longer than that."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def time(length: timedelta | None) -> str:
    """Two or three digits and a unit, so that a column of them stays narrow: ``85 ms``, ``4.2 s``, ``14 min``."""
    if length is None:
        return NOTHING
    seconds = length.total_seconds()
    if seconds < 0.9995:
        return "<1 ms" if 0 < seconds < 0.001 else f"{seconds * 1000:.0f} ms"
    for size, unit, most in ((1, "s", 59.5), (60, "min", 59.5), (3600, "h", 23.5)):
        if seconds < size * most:
            return _two_digits(seconds / size, unit)
    return _two_digits(seconds / 86400, "d")


def micro(microseconds: int | None) -> str:
    return time(None if microseconds is None else timedelta(microseconds=microseconds))


def domain(name: str) -> str:
    return name if name != UNCLAIMED else "other"


def task(name: str) -> str:
    return name or "(no name recorded)"


def listed(items: Sequence[str]) -> str:
    """“a”, “a and b”, “a, b and c”."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def failures(tally: Tally) -> str:
    """Such as “3 (0.2%)”; the share alone would hide how few there were."""
    if not tally.finished:
        return NOTHING
    return f"{number(tally.failed)} ({share(tally.failure_rate)})" if tally.failed else "0"


def _two_digits(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def _without_results(figures: Figures) -> str:
    waiting = _waiting(figures)
    if not figures.is_over:
        return f"So far this week no task has finished{f', and {waiting}' if waiting else ''}."
    if waiting:
        return f"No task finished this week, and {waiting}."
    return "A quiet week: no task ran, so nothing could go wrong."


def _opening(figures: Figures) -> str:
    finished, waiting = figures.finished, _waiting(figures)
    if not figures.is_over:
        have = "has" if finished == 1 else "have"
        opening = f"So far this week {counted(finished, 'task')} {have} finished"
    elif waiting:
        opening = f"{counted(finished, 'task')} finished this week"
    else:
        all_of_them = {1: "The one task", 2: "Both tasks"}.get(finished, f"All {number(finished)} tasks")
        opening = f"{all_of_them} of the week finished"
    if waiting:
        return f"{opening}, and {waiting}"
    return opening if figures.failed else f"{opening}, and {'it did not fail' if finished == 1 else 'none failed'}"


def _waiting(figures: Figures) -> str:
    if not figures.waiting:
        return ""
    return f"{number(figures.waiting)} {'is' if figures.waiting == 1 else 'are'} still unfinished"


def _failures(figures: Figures) -> list[str]:
    if not figures.failed:
        return ["none failed"] if figures.waiting else []
    if figures.failed == figures.finished > 1:
        return [f"every one of them failed{_where(figures)}"]
    failed = "it failed" if figures.finished == 1 else f"{number(figures.failed)} failed"
    return [f"{failed}{_where(figures)}"]


def _where(figures: Figures) -> str:
    failing: list[Line] = sorted((line for line in figures.domains if line.now.failed), key=lambda line: line.badness)
    if len(failing) > 1:
        return ": " + listed([f"{number(line.now.failed)} in {_place(line)}" for line in failing])
    return f", {'all ' if figures.failed > 1 else ''}in {_place(failing[0])}"


def _place(line: Line) -> str:
    return line.name if line.name != UNCLAIMED else "tasks of no domain"


def _revoked(figures: Figures) -> list[str]:
    if not figures.revoked:
        return []
    return [f"{number(figures.revoked)} {'was' if figures.revoked == 1 else 'were'} revoked"]
