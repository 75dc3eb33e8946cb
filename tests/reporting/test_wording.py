"""What the report says, word by word."""

from datetime import timedelta

import pytest

from reporting import wording
from reporting.weeks import Week


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
    ("week", "words"),
    [
        (Week(2026, 46), "Week 46 of 2026: 9 to 15 November 2026"),
        (Week(2026, 49), "Week 49 of 2026: 30 November to 6 December 2026"),
        (Week(2026, 53), "Week 53 of 2026: 28 December 2026 to 3 January 2027"),
    ],
)
def test_a_weeks_days_name_each_month_and_year_once(week: Week, words: str) -> None:
    assert week.words == words


@pytest.mark.parametrize(("text", "short"), [("a b", "a b"), ("a\n  b", "a b"), ("abcdefgh", "abcd…")])
def test_a_long_text_is_shortened_to_one_line(text: str, short: str) -> None:
    assert wording.shortened(text, 5) == short
