"""Deliveries in every state, as the pipeline writes them, for tests of the pages."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from notifications import content, services
from notifications.delivering import UNKNOWN
from notifications.tables import Attempt, Delivery, Notification
from routing.ledger.tables import Message, Outbox

State, Outcome = Delivery.State, Attempt.Outcome
ANN = "Ann Example <ann@example.org>"
HOST = "smtp.example.org:587"
HUGE = "554 5.7.1 " + "Message rejected under suspicion of spam; see https://example.net/why?code=1234567890 " * 60
UNICODE = "Zoë Ångström-Łukasiewicz 山田太郎 <zoe@bücher.example>"
LONG = f"{'Maximiliana ' * 12}<{'a' * 60}@{'very-long-subdomain.' * 6}example.org>"


def delivery(to: str = ANN, **said: Any) -> Delivery:
    """One that is pending, with its task in flight."""
    notification = services.notify(to, **{"subject": "Your invoice of November", "text": "It is due.\n", **said})
    return notification.deliveries.select_related("notification__template__template").get()


def ended(
    state: Delivery.State,
    to: str = ANN,
    *,
    answer: str = "",
    reason: str = "",
    outcome: Attempt.Outcome | None = None,
    ago: timedelta = timedelta(minutes=5),
    **said: Any,
) -> Delivery:
    """In this state, with one attempt of that outcome, and its task done with."""
    row = delivery(to, **said)
    at = timezone.now() - ago
    final = state not in (State.PENDING, State.SENDING)
    if outcome is not None:
        Attempt.objects.create(
            delivery=row,
            number=1,
            host=HOST,
            started_at=at - timedelta(milliseconds=310),
            ended_at=at,
            outcome=outcome,
            answer=answer,
            task_id=row.task_id,
            worker="notifications@app-1",
        )
    Delivery.objects.filter(pk=row.pk).update(
        state=state,
        reason=reason,
        answer=answer,
        attempts_made=int(outcome is not None),
        digest=content.of(row).digest if outcome is not None else "",
        finished_at=at if final else None,
    )
    forget_task(row)
    row.refresh_from_db()
    return row


def forget_task(row: Delivery) -> None:
    Outbox.objects.filter(message_id=row.task_id).delete()
    Message.objects.filter(pk=row.task_id).delete()


def sent(to: str = ANN, **said: Any) -> Delivery:
    return ended(State.SENT, to, answer="250 2.0.0 Ok: queued as 4F1b", outcome=Outcome.ACCEPTED, **said)


def refused(to: str = ANN, **said: Any) -> Delivery:
    answer = said.pop("answer", "550 5.1.1 No such user")
    return ended(State.FAILED, to, answer=answer, reason="refused", outcome=Outcome.PERMANENT, **said)


def undecided(to: str = ANN, **said: Any) -> Delivery:
    words = "The mail server smtp.example.org:587 cannot be reached or broke off: timed out"
    said = {"category": "news", **said}
    return ended(State.SENDING, to, answer=words, reason=UNKNOWN, outcome=Outcome.UNKNOWN, **said)


def greylisted(to: str = ANN, **said: Any) -> Delivery:
    row = delivery(to, **said)
    at = timezone.now()
    Attempt.objects.create(
        delivery=row,
        number=1,
        host=HOST,
        started_at=at,
        ended_at=at,
        outcome=Outcome.TEMPORARY,
        answer="450 Greylisted",
    )
    Delivery.objects.filter(pk=row.pk).update(attempts_made=1, answer="450 4.2.0 Greylisted")
    Message.objects.filter(pk=row.task_id).update(due_at=at + timedelta(minutes=9))
    row.refresh_from_db()
    return row


def aged(row: Delivery | Notification, age: timedelta) -> None:
    """As if it had been asked for, and had ended, so long ago."""
    at = timezone.now() - age
    notification = row.notification if isinstance(row, Delivery) else row
    Notification.objects.filter(pk=notification.pk).update(created_at=at)
    mine = Delivery.objects.filter(notification=notification)
    mine.update(created_at=at)
    mine.exclude(finished_at=None).update(finished_at=at)
    Attempt.objects.filter(delivery__notification=notification).update(started_at=at, ended_at=at)


def all_kinds() -> dict[str, Delivery]:
    """One of each, and what is hard to show."""
    html = "<style>h1{color:#15803d}</style><h1>Hello</h1><p>Your <a href='https://example.org/'>invoice</a>.</p>"
    return {
        "sent": sent(html=html, text="", key="invoice:7"),
        "unicode": sent(UNICODE, subject="Größe und Maß 山田"),
        "long": refused(LONG, answer=HUGE, subject="A subject that is as long as can be " * 6),
        "refused": refused("nobody@example.org"),
        "gave_up": ended(
            State.FAILED,
            "full@example.org",
            answer="452 4.2.2 Mailbox full",
            reason="gave_up",
            outcome=Outcome.TEMPORARY,
        ),
        "suppressed": ended(State.SUPPRESSED, "gone@example.org", reason="bounced"),
        "unsubscribed": ended(State.SUPPRESSED, "no@example.org", reason="unsubscribed", category="news"),
        "bounced": ended(State.BOUNCED, "ben@example.org", answer="5.2.1 Mailbox disabled", outcome=Outcome.ACCEPTED),
        "cancelled": ended(State.CANCELLED, "late@example.org"),
        "undecided": undecided("cleo@example.org"),
        "greylisted": greylisted("dan@example.org"),
        "scheduled": delivery("eve@example.org", send_at=timezone.now() + timedelta(days=2)),
        "pending": delivery("fay@example.org", lane="urgent"),
    }
