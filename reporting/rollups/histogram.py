"""Histograms of durations whose percentiles are at most 5 % off, in a few dozen numbers.

Bucket ``i`` holds the durations from 1.1 ** i to below 1.1 ** (i + 1) microseconds, and stands for 1.1 ** (i + 0.5): so
no duration is further from what stands for it than by the factor 1.1 ** 0.5, 4.9 %. Nothing, or less, is bucket -1.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from fractions import Fraction

GROWTH = 1.1
_LOG = math.log(GROWTH)
NOTHING = -1

Histogram = Counter[int]


def bucket(microseconds: int) -> int:
    return math.floor(math.log(microseconds) / _LOG) if microseconds > 0 else NOTHING


def percentile(histogram: Mapping[int, int], share: Fraction) -> timedelta | None:
    """The smallest duration that so large a share does not exceed, at most 5 % off; None where there is none."""
    total = sum(histogram.values())
    rank, seen = max(math.ceil(total * share), 1), 0
    for index in sorted(histogram):
        seen += histogram[index]
        if seen >= rank:
            return _middle(index)
    return None


def merged(histograms: Iterable[Mapping[str, int]]) -> Histogram:
    """Of those that are stored."""
    found: Histogram = Counter()
    for histogram in histograms:
        for index, count in histogram.items():
            found[int(index)] += count
    return found


def stored(histogram: Mapping[int, int]) -> dict[str, int]:
    return {str(index): count for index, count in sorted(histogram.items())}


def _middle(index: int) -> timedelta:
    return timedelta() if index == NOTHING else timedelta(microseconds=GROWTH ** (index + 0.5))
