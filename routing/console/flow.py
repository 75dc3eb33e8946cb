"""The flow that a task belongs to: its first task, and under each task those that it enqueued, with their states.

Chains, groups and chords are all of this kind: Celery notes with a task's result which tasks came out of it. What has
not finished has no such note yet, and what was pruned takes it along.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django_celery_results.models import TaskResult

from routing.console.page_parts import Relative, relative
from routing.ledger.lookup import messages
from routing.ledger.results import read_meta

MOST = 100
"""Tasks of a flow that a page shows; it says so where there are more."""
DEEPEST = 20


@dataclass(frozen=True)
class Node:
    """``depth``: how many tasks lie between it and the first one. ``here``: the page's own."""

    depth: int
    task: Relative
    here: bool


@dataclass(frozen=True)
class Flow:
    """Empty where a task stands alone."""

    nodes: tuple[Node, ...] = ()
    more: bool = False


def flow(task_id: str, *, root_id: Any) -> Flow:
    """One query for each depth, and one more where some have not finished."""
    root = _clean(root_id if isinstance(root_id, str) and root_id else task_id)
    rows, children = _gather(root)
    if len(children) < 2 and root == _clean(task_id):
        return Flow()
    listed = list(_list(root, children))
    nodes = tuple(Node(depth, relative("", key, rows.get(key)), key == task_id) for depth, key in listed[:MOST])
    return Flow(nodes, more=len(listed) > MOST) if len(nodes) > 1 else Flow()


def _gather(root: str) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The rows by id, and which ids came out of each; each id under the first that names it."""
    rows: dict[str, Any] = {}
    children: dict[str, list[str]] = {root: []}
    level = [root]
    for _depth in range(DEEPEST):
        found = _rows(level)
        rows |= found
        following: list[str] = []
        for key in level:
            for child in _children(found.get(key)):
                if child not in children:
                    children[child] = []
                    children[key].append(child)
                    following.append(child)
        if not following or len(children) > MOST:
            return rows | _rows(following), children
        level = following
    return rows, children


def _rows(ids: list[str]) -> dict[str, Any]:
    if not ids:
        return {}
    # In this order: one that ends in between is then found twice, and else it would not be at all.
    in_flight = {row.pk: row for row in messages().filter(pk__in=ids).only("task", "state")}
    finished = TaskResult.objects.filter(task_id__in=ids).only("task_id", "task_name", "status", "meta")
    return in_flight | {row.task_id: row for row in finished}


def _children(row: Any) -> list[str]:
    return list(dict.fromkeys(_ids(read_meta(row).get("children")))) if isinstance(row, TaskResult) else []


def _ids(children: Any) -> Iterator[str]:
    """Task ids in Celery's tuples: ``[[id, parent], null]`` for a task, ``[[id, parent], [task, …]]`` for a group."""
    for child in children if isinstance(children, list | tuple) else ():
        match child:
            case [[str(task_id), *_parent], None | []]:
                yield _clean(task_id)
            case [_group, [*tasks]]:
                yield from _ids(tasks)


def _clean(task_id: str) -> str:
    return task_id.replace("\0", "")


def _list(root: str, children: dict[str, list[str]]) -> Iterator[tuple[int, str]]:
    waiting = [(0, root)]
    while waiting:
        depth, key = waiting.pop()
        yield depth, key
        waiting.extend((depth + 1, child) for child in reversed(children[key]))
