"""The tasks of the notifications domain: doors, with the rooms elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery import Task, shared_task

from notifications import asked, delivering, lanes, services
from notifications.tables import Notification
from routing.last_step import LastStep


# Not by retries but by its age does a delivery give up; its category says when.
@shared_task(name="notifications.deliver", bind=True, max_retries=None)
def deliver(self: "Task[..., Any]", notification: str, position: int) -> dict[str, Any] | LastStep:
    """Hand one delivery over. Safe to call again."""
    request = self.request
    if request.is_eager:
        return delivering.deliver(notification, position, task_id=str(request.id), may_wait=False)
    worker = request.hostname or ""
    return delivering.hand_over(notification, position, task_id=str(request.id), worker=worker)


@shared_task(name="notifications.send_email", bind=True, atomic=True)  # type: ignore[call-overload]
def send_email(
    self: "Task[..., dict[str, Any]]",
    *,
    subject: str,
    text: str,
    to: Sequence[str],
    html: str = "",
    from_email: str | None = None,
    reply_to: Sequence[str] = (),
) -> dict[str, Any]:
    """Write to each of ``to``, from wherever a task can be enqueued."""
    return _outcome(
        services.notify(
            to=to,
            subject=subject,
            text=text,
            html=html or "",
            from_email=from_email,
            reply_to=reply_to,
            **_of_task(self.request),
        )
    )


@shared_task(name="notifications.notify", bind=True, atomic=True)  # type: ignore[call-overload]
def notify(
    self: "Task[..., dict[str, Any]]",
    *,
    to: Sequence[str | Mapping[str, Any]] = (),
    **words: Any,
) -> dict[str, Any]:
    """``notifications.notify`` for other domains and programs, by name; notifications.asked has its words."""
    draft, recipients = asked.draft(words), asked.recipients(to)
    asked.require_open(draft, recipients)
    return _outcome(services.notify(recipients, **{**_of_task(self.request), **draft}))


def _of_task(request: Any) -> dict[str, Any]:
    return {
        # Whoever has put this ahead of others wants what it sends there, too.
        "lane": lanes.of_queue((request.delivery_info or {}).get("routing_key")),
        # Eager tasks have an id, too.
        "key": f"task:{request.id}",
        "created_by": f"task {request.id}",
    }


def _outcome(notification: Notification) -> dict[str, Any]:
    return {"notification": str(notification.pk), "deliveries": notification.recipients}
