"""The weekly report as an e-mail: HTML for mail readers of any age, and a text part laid out for itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import wrap

import css_inline
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from reporting import wording
from reporting.figures import Figures, Line, Tally
from reporting.weeks import Week

ROWS = 20
"""Lines a table may have: Gmail cuts a mail off at 102 KB, wherever that is."""
LONGEST_NAME = 100
WIDTH = 72


@dataclass(frozen=True)
class Cells:
    """A tally as people read it."""

    finished: str
    failed: str
    median: str
    p95: str

    @classmethod
    def of(cls, tally: Tally) -> "Cells":
        return cls(
            wording.number(tally.finished),
            wording.failures(tally),
            wording.time(tally.median_time),
            wording.time(tally.p95_time),
        )


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    name: str
    now: Cells
    before: Cells
    is_bad: bool

    @property
    def parts(self) -> list[str]:
        return _parts(self.name)


@dataclass(frozen=True)
class Table:
    title: str
    heading: str
    rows: Sequence[Row]
    rest: str = ""


def compose(figures: Figures) -> dict[str, str]:
    """``subject``, ``text`` and ``html`` of the report."""
    return {"subject": wording.subject(figures), "text": text(figures), "html": html(figures)}


def html(figures: Figures) -> str:
    """Under 100 KB, without images, its CSS inlined; a dark scheme for readers that know the media query."""
    return _inliner().inline(
        render_to_string(
            "reporting/weekly.html",
            {
                "subject": wording.subject(figures),
                "verdict": wording.verdict(figures),
                "is_well": not figures.failed and not figures.waiting,
                "days": wording.days(figures.week),
                "figures": figures,
                "tables": _tables(figures),
                "unfinished": [(_parts(name), *rest) for name, *rest in _unfinished(figures)],
                "notes": list(_notes(figures)),
                "results_url": _results_url(),
            },
        )
    )


def text(figures: Figures) -> str:
    """Plain text, at most 72 columns wide where the names allow it."""
    sections = [
        f"TASKYARD, WEEK {figures.week.number} OF {figures.week.year}\n{wording.days(figures.week)}",
        "\n".join(wrap(wording.verdict(figures), WIDTH)),
        *(_text_table(table, figures.week) for table in _tables(figures)),
        *_text_unfinished(figures),
        *("\n".join(wrap(note, WIDTH)) for note in _notes(figures)),
        f"Every result, with its arguments and traceback:\n{_results_url()}",
    ]
    return "\n\n".join(sections) + "\n"


def _tables(figures: Figures) -> list[Table]:
    tables = [
        _table("By domain", "Domain", figures.domains, wording.domain),
        _table("By task", "Task", figures.tasks, wording.task),
    ]
    return [table for table in tables if table.rows]


def _table(title: str, heading: str, lines: Sequence[Line], called: Callable[[str], str]) -> Table:
    rows = [
        Row(_short(called(line.name)), Cells.of(line.now), Cells.of(line.before), is_bad=line.now.failed > 0)
        for line in lines[:ROWS]
    ]
    return Table(title, heading, rows, _rest(lines[ROWS:], heading.lower()))


def _rest(lines: Sequence[Line], noun: str) -> str:
    if not lines:
        return ""
    failed = sum(line.now.failed for line in lines)
    what = f"with {wording.counted(failed, 'failure')}" if failed else "without a failure"
    return f"… and {wording.counted(len(lines), f'more {noun}')}, {what}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _parts(name: str) -> list[str]:
    """The pieces of a task's name between which a narrow screen may break it."""
    return name.replace(".", ".\n").replace("_", "_\n").split("\n")


def _unfinished(figures: Figures) -> list[tuple[str, str, str]]:
    """Task, how many, and since when."""
    return [
        (_short(wording.task(item.name)), wording.number(item.count), wording.moment(item.since))
        for item in figures.unfinished[:ROWS]
    ]


def _notes(figures: Figures) -> Iterator[str]:
    if not figures.is_over:
        built = wording.moment(figures.built_at)
        yield f"The week is not over: these are its figures of {built}, beside those of the whole week before."
    if figures.thinned:
        names = wording.listed([wording.domain(name) for name in figures.thinned])
        yield (
            f"The figures may be too low: some results of these two weeks are past the time they are kept ({names}), "
            "and may have been pruned."
        )
    if figures.cleanups:
        yield wording.cleanups(figures.cleanups)
    if figures.tasks:
        yield (
            "Worst first: most failures, then the highest failure rate, then the slowest. A task counts in the week in "
            "which it finished; times are from start to end. Half of the runs took no longer than the median, 95% no "
            "longer than the p95."
        )


def _text_table(table: Table, week: Week) -> str:
    lines = [f"{table.title.upper():<27}{'finished':>10}{'failed':>15}{'median':>10}{'p95':>10}", "-" * WIDTH]
    for row in table.rows:
        lines += [*_text_name(row.name, row.now), f"{f'  week {week.previous().number}':<27}{_columns(row.before)}"]
    if table.rest:
        lines.append(table.rest)
    return "\n".join(lines)


def _text_name(name: str, cells: Cells) -> list[str]:
    """A name too long for its column has a line of its own."""
    return [f"{name:<27}{_columns(cells)}"] if len(name) < 27 else [name, f"{'':<27}{_columns(cells)}"]


def _columns(cells: Cells) -> str:
    return f"{cells.finished:>10}{cells.failed:>15}{cells.median:>10}{cells.p95:>10}"


def _text_unfinished(figures: Figures) -> Iterator[str]:
    if not figures.unfinished:
        return
    lines = [f"{'STILL UNFINISHED':<40}{'tasks':>10}{'oldest from':>22}", "-" * WIDTH]
    lines += [f"{name:<40}{count:>10}{since:>22}" for name, count, since in _unfinished(figures)]
    yield "\n".join(lines)


def _results_url() -> str:
    return settings.SITE_URL + reverse("admin:django_celery_results_taskresult_changelist")


@cache
def _inliner() -> css_inline.CSSInliner:
    # The style element marked "keep" stays: media queries cannot be inlined.
    return css_inline.CSSInliner(load_remote_stylesheets=False)
