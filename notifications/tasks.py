"""The tasks of the notifications domain: doors, with the rooms elsewhere."""

from collections.abc import Sequence

from celery import Task, shared_task

from notifications import email
from notifications.email import Email, Outcome


@shared_task(name="notifications.send_email", bind=True)
def send_email(
    self: "Task[..., Outcome]",
    *,
    subject: str,
    text: str,
    to: Sequence[str],
    html: str | None = None,
    from_email: str | None = None,
    reply_to: Sequence[str] = (),
    settled: dict[str, str] | None = None,
) -> Outcome:
    """Deliver one e-mail. ``settled`` is for retries, which leave out the recipients that are done with."""
    message = Email(subject=subject, text=text, to=to, html=html, from_email=from_email, reply_to=reply_to)
    try:
        return email.deliver(message, key=str(self.request.id), settled=settled)
    except email.Deferred as deferred:
        raise self.retry(
            kwargs={**(self.request.kwargs or {}), "settled": deferred.settled}, exc=deferred
        ) from deferred
