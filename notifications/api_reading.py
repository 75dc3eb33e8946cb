"""What became of a notification and its deliveries, for programs that call the HTTP API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from notifications import channels, finding
from notifications.addresses import InvalidAddress
from notifications.api_drafts import MAX_ADDRESS
from notifications.api_scopes import READ
from notifications.problems import InvalidNotification, Problem
from notifications.progress import progress_of
from notifications.tables import Attempt, Delivery
from routing.console import problems
from routing.console.api_access import needs

router = Router()

PAGE, MAX_PAGE = 50, 200

Address = Annotated[
    str,
    WithJsonSchema({"type": "string", "format": "email", "maxLength": MAX_ADDRESS, "examples": ["ann@example.org"]}),
]


def one_of(*words: str) -> WithJsonSchema:
    """What the database has, so that it need not be looked at again."""
    return WithJsonSchema({"type": "string", "enum": list(words)})


OneState = Annotated[str, one_of(*Delivery.State.values)]


class NotificationState(Schema):
    id: UUID
    state: Annotated[str, one_of("storing", "scheduled", "sending", "finished", "cancelled")] = Field(
        description="`storing` while recipients are still being added, `scheduled` before `send_at`, `sending` while a "
        "delivery is under way, `finished` when nothing more will come, `cancelled` when that is because of it."
    )
    words: str = Field(description="The same for people.", examples=["998 of 1,000 sent, 2 failed"])
    counts: Mapping[str, int] = Field(
        description="Deliveries by state, every state among them.", examples=[{"sent": 998, "failed": 2}]
    )
    recipients: int = Field(description="Deliveries stored so far.", examples=[1000])
    finished: int = Field(description="Deliveries of which nothing more will come.", examples=[1000])
    channel: str = Field(examples=["email"])
    category: str = Field(examples=["account"])
    lane: str = Field(examples=["default"])
    template: str | None = Field(description="The template's name and version.", examples=["welcome, version 3"])
    subject: str = Field(description="As it was given; empty where a template says it.")
    send_at: datetime | None
    created_at: datetime
    created_by: str = Field(examples=["API token web shop"])
    cancelled_at: datetime | None
    deliveries_url: str


class AttemptState(Schema):
    number: int
    outcome: Annotated[str, one_of(*Attempt.Outcome.values, "")] = Field(description="Empty while it goes on.")
    code: int | None = Field(description="The server's, such as 250.")
    answer: str = Field(description="The server's words.", examples=["250 2.0.0 Ok: queued as 4F2"])
    host: str = Field(description="By way of which server.", examples=["smtp.example.org:587"])
    started_at: datetime
    ended_at: datetime | None
    seconds: float | None = Field(description="How long it took.", examples=[0.218])


class DeliveryState(Schema):
    notification_id: UUID
    notification_url: str
    position: int = Field(description="Its place among the notification's recipients, from 0.")
    address: str = Field(examples=["Ann Example <ann@example.org>"])
    state: OneState
    reason: str = Field(description="Why it failed, was suppressed or waits for somebody's decision.")
    answer: str = Field(description="What the other side said last.", examples=["250 2.0.0 Ok: queued as 4F2"])
    message_id: str = Field(description="The header `Message-ID`, the same at each attempt.")
    subject: str = Field(description="As it was given; empty where a template says it.")
    template: str | None
    category: str
    created_at: datetime
    finished_at: datetime | None
    attempts: list[AttemptState]


class Deliveries(Schema):
    deliveries: list[DeliveryState]
    next: str | None = Field(description="The URL of the next page; null on the last.")


Limit = Annotated[int, Query(..., ge=1, le=MAX_PAGE, description="How many at most.")]
_WHERE = "Where the page begins: taken from `next`."
AfterPosition = Annotated[str | None, Query(..., pattern=r"^[0-9]{1,9}$", description=_WHERE)]
_CHANNELS = "|".join(one.name for one in channels.all_of_them())
OneChannel = Annotated[
    str,
    Query(..., pattern=f"^({_CHANNELS})$", description="For `webhook`, `address` is the name of an endpoint."),
]
AfterId = Annotated[str | None, Query(..., pattern=r"^[0-9]{1,18}$", description=_WHERE)]


@router.get(
    "/notifications/{uuid:notification_id}",
    response={200: NotificationState, **problems.documented(404)},
    summary="What became of a notification",
    tags=["Notifications"],
    **needs(READ),
)
def notification_state(
    request: HttpRequest,
    notification_id: UUID,
) -> NotificationState | HttpResponse:
    """Known from the moment it is accepted until it is pruned."""
    found = finding.notification(notification_id)
    if found is None:
        return unknown(notification_id)
    progress = progress_of(found)
    return NotificationState(
        id=found.pk,
        state=progress.state,
        words=progress.words,
        counts=progress.counts,
        recipients=progress.stored,
        finished=progress.finished,
        channel=found.channel,
        category=found.category,
        lane=found.lane,
        template=str(found.template) if found.template else None,
        subject=found.subject,
        send_at=found.send_at,
        created_at=found.created_at,
        created_by=found.created_by,
        cancelled_at=found.cancelled_at,
        deliveries_url=f"{request.path}/deliveries",
    )


@router.get(
    "/notifications/{uuid:notification_id}/deliveries",
    response={200: Deliveries, **problems.documented(404, 422)},
    summary="The deliveries of a notification",
    tags=["Deliveries"],
    **needs(READ),
)
def notification_deliveries(
    request: HttpRequest,
    notification_id: UUID,
    state: Annotated[Delivery.State | None, Query(..., description="Only those in this state.")] = None,
    cursor: AfterPosition = None,
    limit: Limit = PAGE,
) -> Deliveries | HttpResponse:
    """In the order of its recipients, each with its attempts."""
    found = finding.notification(notification_id)
    if found is None:
        return unknown(notification_id)
    page = finding.page_of(found, state=state or "", cursor=int(cursor) if cursor else None, limit=limit)
    return Deliveries(deliveries=[_delivery(one) for one in page.rows], next=next_url(request, page.next))


@router.get(
    "/deliveries",
    response={200: Deliveries, **problems.documented(422)},
    summary="Did she get it? All that was ever for an address",
    tags=["Deliveries"],
    **needs(READ),
)
def deliveries_of_address(
    request: HttpRequest,
    address: Annotated[Address, Query(..., max_length=MAX_ADDRESS)],
    channel: OneChannel = "email",
    cursor: AfterId = None,
    limit: Limit = PAGE,
) -> Deliveries:
    """The newest first, each with its attempts."""
    try:
        page = finding.of_address(address, channel=channel, cursor=int(cursor) if cursor else None, limit=limit)
    except InvalidAddress as error:
        raise InvalidNotification([Problem("address", f"cannot be looked for: {error}.")]) from None
    return Deliveries(deliveries=[_delivery(one) for one in page.rows], next=next_url(request, page.next))


def unknown(notification_id: UUID) -> HttpResponse:
    return problems.response(
        404, f"No notification {notification_id} is known. Check the id; they are kept for a limited time."
    )


def next_url(request: HttpRequest, cursor: int | None) -> str | None:
    """This page's own URL, with another cursor."""
    if cursor is None:
        return None
    return f"{request.path}?{urlencode({**request.GET.dict(), 'cursor': cursor})}"


def _delivery(row: Delivery) -> DeliveryState:
    notification = row.notification
    return DeliveryState(
        notification_id=notification.pk,
        notification_url=reverse("api:notification_state", kwargs={"notification_id": notification.pk}),
        position=row.position,
        address=row.address,
        state=row.state,
        reason=row.reason,
        answer=row.answer,
        message_id=row.message_id,
        subject=notification.subject,
        template=str(notification.template) if notification.template else None,
        category=notification.category,
        created_at=row.created_at,
        finished_at=row.finished_at,
        attempts=[_attempt(one) for one in row.attempts.all()],
    )


def _attempt(row: Attempt) -> AttemptState:
    took = (row.ended_at - row.started_at).total_seconds() if row.ended_at else None
    return AttemptState(
        number=row.number,
        outcome=row.outcome,
        code=row.code,
        answer=row.answer,
        host=row.host,
        started_at=row.started_at,
        ended_at=row.ended_at,
        seconds=None if took is None else round(took, 3),
    )
