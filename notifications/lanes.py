"""The lanes of the notifications domain, and their queues."""

from routing.domains import Domain, registry

TASK = "notifications.deliver"


def domain() -> Domain:
    found = registry().of_task(TASK)
    assert found is not None, "a system check sees to it that every task has its domain"  # noqa: S101
    return found


def lanes() -> list[str]:
    return [lane.name for lane in domain().lanes]


def queue(lane: str) -> str:
    return domain().queue(lane)
