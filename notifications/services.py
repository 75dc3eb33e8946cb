"""What other code calls to reach people."""

from celery.result import AsyncResult

from notifications import email, tasks
from notifications.email import Email, InvalidEmail, Outcome, Problem
from routing.domains import DEFAULT_LANE, Domain, registry


def domain() -> Domain:
    found = registry().of_task(tasks.send_email.name)
    assert found is not None, "a system check sees to it that every task has its domain"  # noqa: S101
    return found


def send(message: Email, *, lane: str = DEFAULT_LANE) -> AsyncResult[Outcome]:
    """Check an e-mail and enqueue its delivery.

    Raises InvalidEmail, and ``celery.exceptions.OperationalError`` where the broker is away or does not confirm: then
    no row is left behind, but a broker that only hung may still deliver what it had received.
    """
    email.check(message)
    return tasks.send_email.apply_async(kwargs=message.arguments(), queue=_queue(lane))


def _queue(lane: str) -> str:
    lanes = [lane.name for lane in domain().lanes]
    if lane not in lanes:
        problem = Problem("lane", f"{lane!r} does not exist; use one of {', '.join(lanes)}.")
        raise InvalidEmail(f"{problem.field} {problem.detail}", problems=[problem])
    return domain().queue(lane)
