"""What was measured: a table for people, and one line of JSON with the ratios for programs."""

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.compare.contenders import CEILING, DOCUMENTED, KEPT, OURS, Contender
from benchmarks.compare.rounds import Figures, Turn

Measured = Mapping[Contender, Sequence[Turn]]

TITLES = {
    "tasks_per_s": "tasks/s, end to end",
    "enqueue_per_s": "single calls/s",
    "enqueue_us": "one call, us",
    "enqueue_committed_us": "one call with its own commit, us",
    "bulk_per_s": "many in one call, /s",
    "relay_per_s": "relay alone, confirmed, /s",
    "cpu_all": "CPU s per 1,000 tasks",
    "cpu_main": "  worker's main process",
    "cpu_children": "  worker's children",
    "cpu_relay": "  relay",
    "cpu_postgresql": "  PostgreSQL",
    "cpu_rabbitmq": "  RabbitMQ",
    "wal_bytes": "WAL bytes per task",
    "idle_p50_ms": "idle latency, p50 ms",
    "idle_p99_ms": "idle latency, p99 ms",
    "half_rate": "load, half of stock as documented, /s",
    "half_p50_ms": "  latency, p50 ms",
    "half_p99_ms": "  latency, p99 ms",
    "half_sent_late_ms": "  latest call, ms",
    "half_kept_rate": "load, half of stock with connections kept, /s",
    "half_kept_p50_ms": "  latency, p50 ms",
    "half_kept_p99_ms": "  latency, p99 ms",
    "half_kept_sent_late_ms": "  latest call, ms",
    "own_half_rate": "load, half of ours, /s",
    "own_half_p50_ms": "  latency, p50 ms",
    "own_half_p99_ms": "  latency, p99 ms",
    "own_half_sent_late_ms": "  latest call, ms",
    "pace_ms": "the machine, for what is always the same, ms",
    "bench_cpus": "CPUs of whoever waits, and of the benchmark",
    "others_cpus": "CPUs that others used meanwhile",
}
TITLE_WIDTH, WIDTH = 46, 29


def table(measured: Measured) -> str:
    """Medians of the rounds, with the lowest and the highest beneath."""
    lines = [" " * TITLE_WIDTH + "".join(f"{contender.name:>{WIDTH}}" for contender in measured)]
    figures = [[turn.figures for turn in turns] for turns in measured.values()]
    for key, title in TITLES.items():
        if any(key in each for rounds in figures for each in rounds):
            cells = [_cell([each[key] for each in rounds if key in each]) for rounds in figures]
            lines.append(f"{title:<{TITLE_WIDTH}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{_short(median(values))} ({_short(min(values))}..{_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def summary(measured: Measured, circumstances: Mapping[str, Any]) -> str:
    """Ratios of the medians; below one is better for latency, CPU and the wall time of a call.

    A ratio of throughputs is the median of those of backlogs that were worked off within seconds of one another.
    """
    medians = {contender.name: _medians([turn.figures for turn in turns]) for contender, turns in measured.items()}
    ours, documented, kept = (medians[one.name] for one in (OURS, DOCUMENTED, KEPT))

    def ratio(key: str, other: Figures) -> float:
        return round(ours[key] / other[key], 3)

    def throughput(other: Contender) -> float:
        return round(median(_throughput_ratios(measured[OURS], measured[other])), 3)

    ratios = {
        "throughput_ratio": throughput(DOCUMENTED),
        "throughput_ratio_kept": throughput(KEPT),
        "throughput_ratio_kept_lowest": min(_throughput_ratios(measured[OURS], measured[KEPT])),
        "throughput_ratio_kept_highest": max(_throughput_ratios(measured[OURS], measured[KEPT])),
        "throughput_of_ceiling": throughput(CEILING),
        "cpu_ratio": ratio("cpu_all", documented),
        "cpu_ratio_kept": ratio("cpu_all", kept),
        "relay_per_s": round(ours["relay_per_s"]),
        "enqueue_many_per_s": round(ours["bulk_per_s"]),
        "enqueue_wall_ratio": ratio("enqueue_us", documented),
        "enqueue_committed_wall_ratio": round(ours["enqueue_committed_us"] / documented["enqueue_us"], 3),
    }
    for figure, name in (("idle", "latency"), ("half", "latency_half_load"), ("half_kept", "latency_half_kept_load")):
        for share in ("p50", "p99"):
            key = f"{figure}_{share}_ms"
            ratios |= {f"{name}_{share}_ratio": ratio(key, documented)}
            ratios |= {f"{name}_{share}_ratio_kept": ratio(key, kept)}
    half = "half of what stock can do as documented, or with connections kept; the same calls for all"
    return json.dumps({**ratios, "half_load": half, **circumstances, "medians": medians})


def _throughput_ratios(ours: Sequence[Turn], others: Sequence[Turn]) -> list[float]:
    return [
        round(mine["tasks_per_s"] / their["tasks_per_s"], 3)
        for our, other in zip(ours, others, strict=True)
        for mine, their in zip(our.slices, other.slices, strict=True)
    ]


def _medians(rounds: Sequence[Figures]) -> Figures:
    keys = {key for figures in rounds for key in figures}
    return {
        key: float(f"{median([figures[key] for figures in rounds if key in figures]):.5g}")
        for key in (*TITLES, *sorted(keys - set(TITLES)))
        if key in keys
    }
