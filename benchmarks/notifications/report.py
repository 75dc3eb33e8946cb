"""What was measured: a table for people, and one line for programs."""

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.notifications.turns import Figures, Loop, Ours, Stock, Turn

Measured = Mapping[type[Turn], Sequence[Figures]]

COLUMNS = {"mails/s": "mails_per_s", "the call returns after, s": "call_s", "lost": "lost", "doubled": "doubled"}
WAYS_WIDTH, WIDTH = 32, 28


def table(measured: Measured) -> str:
    """Medians of the rounds, with the lowest and the highest."""
    lines = ["".ljust(WAYS_WIDTH) + "".join(name.rjust(WIDTH) for name in COLUMNS)]
    for way, rounds in measured.items():
        cells = [_cell([figures[key] for figures in rounds]) for key in COLUMNS.values()]
        lines.append(way.title.ljust(WAYS_WIDTH) + "".join(cell.rjust(WIDTH) for cell in cells))
    ours = measured[Ours]
    lines.append("")
    for name, words in (("idle", "while nothing else is sent"), ("in_flood", "in a flood of bulk mails")):
        p50, p99 = (_cell([figures[f"urgent_{share}_ms_{name}"] for figures in ours]) for share in ("p50", "p99"))
        lines.append(f"An urgent mail, from notify() to the server, {words}, ms: median {p50}, 99 of 100 within {p99}")
    return "\n".join(lines)


def summary(measured: Measured, circumstances: Mapping[str, Any]) -> str:
    loop, stock, ours = (_medians(measured[way]) for way in (Loop, Stock, Ours))
    return json.dumps(
        {
            "mails_per_s": ours["mails_per_s"],
            "loop_mails_per_s": loop["mails_per_s"],
            "stock_mails_per_s": stock["mails_per_s"],
            "urgent_p99_ms_idle": ours["urgent_p99_ms_idle"],
            "urgent_p99_ms_in_flood": ours["urgent_p99_ms_in_flood"],
            "urgent_p50_ms_idle": ours["urgent_p50_ms_idle"],
            "urgent_p50_ms_in_flood": ours["urgent_p50_ms_in_flood"],
            "stored_per_s": _short(circumstances["count"] / ours["call_s"]),
            "lost": wrong(measured, "lost"),
            "doubled": wrong(measured, "doubled"),
            **circumstances,
        }
    )


def wrong(measured: Measured, what: str) -> int:
    """Mails ``lost`` or ``doubled``, by whichever way."""
    return int(sum(figures[what] for rounds in measured.values() for figures in rounds))


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {key: _short(median([figures[key] for figures in rounds])) for key in rounds[0]}


def _cell(values: Sequence[float]) -> str:
    if len(set(values)) == 1:
        return f"{_short(values[0]):,g}"
    return f"{_short(median(values)):,g} ({_short(min(values)):,g}..{_short(max(values)):,g})"


def _short(value: float) -> float:
    return float(f"{value:.4g}")
