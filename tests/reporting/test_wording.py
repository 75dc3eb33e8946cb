"""What the report says, word by word."""

from datetime import timedelta

import pytest

from reporting import wording
from reporting.figures import Figures, Line, Tally, Unfinished
from reporting.weeks import Week

WEEK = Week(2026, 46)


def week_of(*tallies: tuple[str, int, int], revoked: int = 0, waiting: int = 0, is_over: bool = True) -> Figures:
    """Figures with (domain, finished, failed) each."""
    lines = tuple(
        Line(name=name, domain=name, now=Tally(finished=finished, failed=failed, revoked=revoked if i == 0 else 0))
        for i, (name, finished, failed) in enumerate(tallies)
    )
    unfinished = (Unfinished(name="a.b", domain="a", count=waiting, since=WEEK.starts_at),) if waiting else ()
    built_at = WEEK.ends_at if is_over else WEEK.starts_at
    return Figures(week=WEEK, built_at=built_at, domains=lines, tasks=lines, unfinished=unfinished)


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        (week_of(), "A quiet week: no task ran, so nothing could go wrong."),
        (week_of(waiting=2), "No task finished this week, and 2 are still unfinished."),
        (week_of(is_over=False), "So far this week no task has finished."),
        (week_of(("a", 1204, 0)), "All 1,204 tasks of the week finished, and none failed."),
        (week_of(("a", 1, 0)), "The one task of the week finished, and it did not fail."),
        (week_of(("a", 2, 0)), "Both tasks of the week finished, and none failed."),
        (week_of(("a", 1, 1)), "The one task of the week finished; it failed, in a."),
        (
            week_of(("notifications", 1200, 3), ("reporting", 4, 0)),
            "All 1,204 tasks of the week finished; 3 failed, all in notifications.",
        ),
        (week_of(("notifications", 9, 1)), "All 9 tasks of the week finished; 1 failed, in notifications."),
        (
            week_of(("a", 10, 1), ("b", 10, 3), ("", 10, 2)),
            "All 30 tasks of the week finished; 6 failed: 3 in b, 2 in tasks of no domain and 1 in a.",
        ),
        (week_of(("a", 3, 3)), "All 3 tasks of the week finished; every one of them failed, all in a."),
        (week_of(("a", 5, 0), revoked=1), "All 5 tasks of the week finished, and none failed; 1 was revoked."),
        (week_of(("a", 5, 1), waiting=1), "5 tasks finished this week, and 1 is still unfinished; 1 failed, in a."),
        (week_of(("a", 5, 0), waiting=7), "5 tasks finished this week, and 7 are still unfinished; none failed."),
        (week_of(("a", 5, 0), is_over=False), "So far this week 5 tasks have finished, and none failed."),
        (week_of(("a", 1, 0), is_over=False), "So far this week 1 task has finished, and it did not fail."),
    ],
)
def test_the_verdict_is_one_plain_sentence(figures: Figures, verdict: str) -> None:
    assert wording.verdict(figures) == verdict


@pytest.mark.parametrize(
    ("microseconds", "words"),
    [
        (0, "0 ms"),
        (400, "<1 ms"),
        (85_200, "85 ms"),
        (999_499, "999 ms"),
        (999_500, "1.0 s"),
        (4_240_000, "4.2 s"),
        (9_960_000, "10 s"),
        (59_499_000, "59 s"),
        (59_500_000, "1.0 min"),
        (14 * 60_000_000, "14 min"),
        (5400 * 1_000_000, "1.5 h"),
        (36 * 3600 * 1_000_000, "1.5 d"),
    ],
)
def test_times_are_short(microseconds: int, words: str) -> None:
    assert wording.time(timedelta(microseconds=microseconds)) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.0, "0%"), (0.0004, "<0.1%"), (0.0025, "0.2%"), (0.05, "5%"), (0.9996, ">99.9%"), (1.0, "100%")],
)
def test_a_share_never_rounds_to_none_or_all(rate: float, words: str) -> None:
    assert wording.share(rate) == words


@pytest.mark.parametrize(
    ("week", "days"),
    [
        (Week(2026, 46), "9 to 15 November 2026"),
        (Week(2026, 49), "30 November to 6 December 2026"),
        (Week(2026, 53), "28 December 2026 to 3 January 2027"),
    ],
)
def test_days_name_each_month_and_year_once(week: Week, days: str) -> None:
    assert wording.days(week) == days
