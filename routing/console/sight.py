"""What of a task's page a user gets to see: no arguments and results without leave, and nothing of other domains."""

from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from routing.console import rights
from routing.console.flow import Flow
from routing.console.page_parts import Relative, TaskPage, Value
from routing.masking import MASK


def seen_by(user: Any, page: TaskPage) -> TaskPage:
    relatives = [_within(user, one) for one in page.relatives]
    return replace(page, values=values_for(user, page.values), relatives=relatives, flow=_flow(user, page.flow))


def values_for(user: Any, values: list[Value]) -> list[Value]:
    return values if rights.sees_payloads(user) else [_veiled(value) for value in values]


def _veiled(value: Value) -> Value:
    if not value.payload:
        return value
    text = _("%(mask)s You may not see arguments and results.") % {"mask": MASK}
    return replace(value, text=text, length=len(text), folded=False, pieces=())


def _within(user: Any, one: Relative) -> Relative:
    """Only its id, if its task is of another domain."""
    if not one.state or rights.covers_task(user, one.name):
        return one
    return Relative(one.role, one.task_id)


def _flow(user: Any, flow: Flow | None) -> Flow | None:
    if flow is None:
        return None
    return replace(flow, nodes=tuple(replace(node, task=_within(user, node.task)) for node in flow.nodes))
