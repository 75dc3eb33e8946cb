"""The schedule on a terminal, and as JSON."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from routing.console.schedule_rows import RIGHT, EntryRow, SlotRow

ID = 36
"""Characters of a task id, to be marked with one double click."""
_STYLES = {"danger": "red", "warning": "yellow"}


def entry_table(rows: Sequence[EntryRow]) -> Table:
    """Three short lines for each, which fit a narrow window."""
    table = Table(title="Schedule", title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        lines = [f"due   {row.due}", f"last  {row.last_words}"]
        if row.plan.entry.task:
            lines.append(f"runs  {row.plan.entry.task}, {row.rhythm}")
        style = None if row.state == RIGHT else _STYLES.get(row.state.tone, "dim")
        table.add_row(escape(row.name), str(row.state.word), escape("\n".join(lines)), style=style)
    return table


def slot_table(rows: Sequence[SlotRow]) -> Table:
    """Two short lines for each: its entry under the due time, the id of its task under what became of that."""
    table = Table(title="Slots, the newest first", title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=ID)
    for row in rows:
        told = ", ".join(filter(None, [row.task_state, row.why]))
        lines = "\n".join(filter(None, [told, row.slot.task_id]))
        style = "yellow" if row.slot.missed or row.late_by else None
        table.add_row(escape(f"{row.due}\n{row.slot.entry}"), str(row.state.word), escape(lines), style=style)
    return table


def entry_document(row: EntryRow) -> dict[str, Any]:
    plan, entry = row.plan, row.plan.entry
    return {
        "name": row.name,
        "state": row.state.value,
        "sentence": row.sentence or None,
        "task": entry.task or None,
        "due": str(plan.definition.timing) if plan.definition else None,
        "next_due_at": plan.next_due.isoformat() if plan.next_due else None,
        "overdue_seconds": 0.0 if plan.is_paused else plan.late_by.total_seconds(),
        "paused": {"at": entry.paused_at.isoformat(), "by": entry.paused_by, "reason": entry.pause_reason}
        if entry.paused_at
        else None,
        "removed_at": entry.removed_at.isoformat() if entry.removed_at else None,
        "last": slot_document(row.last) if row.last else None,
    }


def slot_document(row: SlotRow) -> dict[str, Any]:
    slot = row.slot
    return {
        "entry": slot.entry,
        "due_at": slot.due_at.isoformat(),
        "decided_at": slot.decided_at.isoformat(),
        "state": row.state.value,
        "late_seconds": round(row.late_by.total_seconds(), 3) if row.late_by else 0.0,
        "missed": slot.missed or None,
        "detail": slot.detail or None,
        "by": slot.asked_by or None,
        "task_id": slot.task_id or None,
        "task_state": row.outcome.state.value if row.outcome and row.outcome.state else None,
    }


def shown(found: int, limit: int) -> str:
    """What was left out; empty if nothing was."""
    return f"Only the newest {limit:,} are shown; --limit shows more." if found == limit else ""
