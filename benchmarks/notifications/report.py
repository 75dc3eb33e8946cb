"""What was measured: a table for people, and one line for programs."""

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.notifications.turns import HELD_AT, SHARES, Figures, Held, Loop, Ours, Stock, Turn

Measured = Mapping[type[Turn], Sequence[Figures]]

COLUMNS = {"mails/s": "mails_per_s", "the call returns after, s": "call_s", "lost": "lost", "doubled": "doubled"}
MAY_COST_MS = 20
"""What a flood may add to the time of an urgent mail, at the median and at p95."""
SURROUNDINGS: tuple[tuple[type[Turn], str, str], ...] = (
    (Ours, "idle", "while nothing else happens"),
    (Ours, "beside_others", "beside programs that only count"),
    (Ours, "as_flood_begins", "as a flood of bulk mails is stored and handed to RabbitMQ"),
    (Ours, "in_flood", "in that flood"),
    (Held, "in_held_flood", "in a flood that is held back"),
)
WAYS_WIDTH, WIDTH = 32, 28


def table(measured: Measured) -> str:
    """Medians of the rounds, with the lowest and the highest."""
    lines = ["".ljust(WAYS_WIDTH) + "".join(name.rjust(WIDTH) for name in COLUMNS)]
    for sending in (Loop, Stock, Ours):
        rounds = measured[sending]
        cells = [_cell([figures[key] for figures in rounds]) for key in COLUMNS.values()]
        lines.append(sending.title.ljust(WAYS_WIDTH) + "".join(cell.rjust(WIDTH) for cell in cells))
    lines.append("")
    for way, name, words in SURROUNDINGS:
        p50, p95, p99 = (
            _cell([figures[f"urgent_p{share}_ms_{name}"] for figures in measured[way]]) for share in SHARES
        )
        lines.append(
            f"An urgent mail, from notify() to the server, {words}, ms: median {p50}, "
            f"95 of 100 within {p95}, 99 within {p99}"
        )
    flood, others, held = _all_costs(measured)
    kept = "as it may be" if max(flood.values()) <= MAY_COST_MS else f"and {MAY_COST_MS} is the most it may be"
    lines.append(
        f"So a flood costs an urgent mail {flood['p50']:g} ms at the median and {flood['p95']:g} at p95, {kept}. "
        "Programs that have nothing to do with mail, and only keep the processors busy, cost it "
        f"{others['p50']:g} and {others['p95']:g}. A flood that a limit of {HELD_AT}/s holds back costs it "
        f"{held['p50']:g} and {held['p95']:g}."
    )
    return "\n".join(lines)


def summary(measured: Measured, circumstances: Mapping[str, Any]) -> str:
    loop, stock, ours = (_medians(measured[way]) for way in (Loop, Stock, Ours))
    flood, others, held = _all_costs(measured)
    return json.dumps(
        {
            "mails_per_s": ours["mails_per_s"],
            "loop_mails_per_s": loop["mails_per_s"],
            "stock_mails_per_s": stock["mails_per_s"],
            **{name: value for name, value in ours.items() if name.startswith("urgent_")},
            "flood_costs_ms": flood,
            "others_cost_ms": others,
            "held_flood_costs_ms": held,
            "stored_per_s": _short(circumstances["count"] / ours["call_s"]),
            "lost": wrong(measured, "lost"),
            "doubled": wrong(measured, "doubled"),
            **circumstances,
        }
    )


def wrong(measured: Measured, what: str) -> int:
    """Mails ``lost`` or ``doubled``, by whichever way."""
    return int(sum(figures[what] for rounds in measured.values() for figures in rounds))


def _all_costs(measured: Measured) -> tuple[Figures, Figures, Figures]:
    """Of a flood, of programs that only count, and of a flood that is held back."""
    ours, held = _medians(measured[Ours]), _medians(measured[Held])
    return _costs(ours, "in_flood"), _costs(ours, "beside_others"), _costs(held, "in_held_flood")


def _costs(ours: Figures, name: str) -> Figures:
    """Milliseconds that an urgent mail takes longer than while nothing else happens."""
    return {
        f"p{share}": _short(ours[f"urgent_p{share}_ms_{name}"] - ours[f"urgent_p{share}_ms_idle"]) for share in (50, 95)
    }


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {key: _short(median([figures[key] for figures in rounds])) for key in rounds[0]}


def _cell(values: Sequence[float]) -> str:
    if len(set(values)) == 1:
        return f"{_short(values[0]):,g}"
    return f"{_short(median(values)):,g} ({_short(min(values)):,g}..{_short(max(values)):,g})"


def _short(value: float) -> float:
    return float(f"{value:.4g}")
