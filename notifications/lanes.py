"""The lanes of the notifications domain, and their queues."""

from routing.domains import DEFAULT_LANE, Domain, registry

TASK = "notifications.deliver"


def domain() -> Domain:
    found = registry().of_task(TASK)
    assert found is not None, "a system check sees to it that every task has its domain"  # noqa: S101
    return found


def lanes() -> list[str]:
    return [lane.name for lane in domain().lanes]


def of_queue(queue: str | None) -> str:
    """The lane that this queue is; the default one for any other queue."""
    found = domain().queues.get(queue or "")
    return found.name if found else DEFAULT_LANE


def queue(lane: str) -> str:
    return domain().queue(lane)
