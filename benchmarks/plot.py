"""``python -m benchmarks.plot throughput|attacks FILE > PICTURE.svg``: bars of what a run printed as its last line."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, BAR, GAP, TOP = 720, 22, 10, 44
LABELS, FIGURES = 230, 90
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2937 } .title { font-weight: 600 } .bar { fill: #94a3b8 }
    .ours { fill: #7c3aed }
    @media (prefers-color-scheme: dark) { text { fill: #e5e7eb } .bar { fill: #64748b } .ours { fill: #a78bfa } }
"""
Bars = Sequence[tuple[str, float, bool]]
"""Label, figure, and whether it is ours."""


def throughput(found: Mapping[str, Any]) -> tuple[str, Bars]:
    medians = found["medians"]
    bars = [(name, float(figures["tasks_per_s"]), name == "ours") for name, figures in medians.items()]
    return "Tasks a second, end to end, two worker processes", bars


def attacks(found: Mapping[str, Any]) -> tuple[str, Bars]:
    kinds: Mapping[str, int] = found["kills_by_kind"]
    doubled = found["double_outcomes"] + found["double_effects"]
    title = f"{found['kills']:,} attacks on {found['accepted']:,} tasks: {found['lost']} lost, {doubled} doubled"
    return title, [(kind, count, False) for kind, count in sorted(kinds.items(), key=lambda one: -one[1])]


PICTURES = {"throughput": throughput, "attacks": attacks}


def picture(title: str, bars: Bars) -> str:
    height = TOP + len(bars) * (BAR + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f'<text class="title" x="0" y="20">{escape(title)}</text>{"".join(_drawn(bars))}</svg>\n'
    )


def _drawn(bars: Bars) -> Iterator[str]:
    most = max((figure for _, figure, _ in bars), default=0) or 1
    for number, (label, figure, is_ours) in enumerate(bars):
        y, length = TOP + number * (BAR + GAP), (WIDTH - LABELS - FIGURES) * figure / most
        kind = "bar ours" if is_ours else "bar"
        yield f'<text x="{LABELS - 10}" y="{y + 16}" text-anchor="end">{escape(label)}</text>'
        yield f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>'
        yield f'<text x="{LABELS + length + 8:.1f}" y="{y + 16}">{figure:,.0f}</text>'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("what", choices=PICTURES)
    parser.add_argument("file", type=Path, help="what the run printed; its last line is JSON")
    options = parser.parse_args()
    lines = [line for line in options.file.read_text().splitlines() if line.startswith("{")]
    sys.stdout.write(picture(*PICTURES[options.what](json.loads(lines[-1]))))


if __name__ == "__main__":
    main()
