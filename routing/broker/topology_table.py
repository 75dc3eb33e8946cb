"""The topology as a table, for ``manage.py topology`` and docs/topology.md."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings

from routing.broker.topology import (
    DEAD,
    TASKS,
    UNROUTED,
    UNROUTED_QUEUE,
    dead_letter_queues,
    task_queues,
)
from routing.domains import Domain


@dataclass(frozen=True)
class Row:
    """One queue, how messages reach it, and where they go from there."""

    queue: str
    exchange: str
    routing_key: str
    holds: str
    dead_letters_to: str


def exchanges() -> list[tuple[str, str, str]]:
    """Name, type and purpose of each exchange."""
    return [
        (TASKS.name, TASKS.type, f"tasks, by queue name; what matches no queue goes on to {UNROUTED.name}"),
        (DEAD.name, DEAD.type, "messages that no worker could process, by domain"),
        (UNROUTED.name, UNROUTED.type, "messages that were sent to a queue that does not exist"),
    ]


def rows(domains: Iterable[Domain]) -> Iterator[Row]:
    domains = tuple(domains)
    lanes = {name: lane.name for domain in domains for name, lane in domain.queues.items()}
    for queue in task_queues(domains):
        dead_letters_to = f"{(queue.queue_arguments or {})['x-dead-letter-routing-key']}.dead"
        yield Row(queue.name, TASKS.name, queue.routing_key, f"tasks of the lane {lanes[queue.name]}", dead_letters_to)
    for queue in dead_letter_queues(domains):
        yield Row(queue.name, DEAD.name, queue.routing_key, "dead letters", "-")
    yield Row(UNROUTED_QUEUE.name, UNROUTED.name, "(any)", "misrouted messages", "-")


def markdown(domains: Iterable[Domain]) -> str:
    """The tables of docs/topology.md."""
    lines = ["| Exchange | Type | Carries |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {purpose} |" for name, kind, purpose in exchanges()]
    lines += ["", "| Queue | Bound to | By routing key | Holds | Dead letters go to |", "|---|---|---|---|---|"]
    lines += [
        f"| `{row.queue}` | `{row.exchange}` | `{row.routing_key}` | {row.holds} | {_code(row.dead_letters_to)} |"
        for row in rows(domains)
    ]
    limit = settings.TASKYARD_DELIVERY_LIMIT
    lines += ["", f"Every queue is a durable quorum queue; the lanes' have a delivery limit of {limit}."]
    return "\n".join(lines)


def _code(text: str) -> str:
    return text if text == "-" else f"`{text}`"
