"""Lengths of time in words."""

from datetime import timedelta

import pytest

from routing.console.time_words import exact, short


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(), "0 ms"),
        (timedelta(milliseconds=85), "85 ms"),
        (timedelta(milliseconds=999.9), "1 s"),
        (timedelta(seconds=1.24), "1.2 s"),
        (timedelta(seconds=9.96), "10 s"),
        (timedelta(seconds=59.7), "1 min"),
        (timedelta(seconds=192), "3 min 12 s"),
        (timedelta(hours=2, minutes=5, seconds=40), "2 h 5 min"),
        (timedelta(days=4, hours=3), "4 d 3 h"),
        (timedelta(seconds=-3), "0 ms"),
    ],
)
def test_a_length_takes_at_most_two_units(length: timedelta, words: str) -> None:
    assert short(length) == words


def test_the_exact_length_has_all_its_digits() -> None:
    assert exact(timedelta(seconds=1, microseconds=250)) == "1.000250 s"
