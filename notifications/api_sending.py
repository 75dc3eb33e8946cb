"""Has people written to, and cancels it, for programs that call the HTTP API."""

from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Header, Router, Schema, Status

from notifications import api_keys, api_reading, finding, services
from notifications.api_drafts import NewNotification
from notifications.api_scopes import CANCEL, SEND
from notifications.draft import Draft
from notifications.problems import InvalidNotification, Problem
from notifications.progress import progress_of
from notifications.tables import Delivery, Notification
from routing.console import problems
from routing.console.api_access import needs, token_of
from routing.console.tokens import ApiToken

router = Router(tags=["Notifications"])

_BY_ID = {"parameters": {"notification_id": "$response.body#/id"}}
_ACCEPTED = {
    "headers": {"Location": {"required": True, "schema": {"type": "string"}, "description": "The same as `url`."}},
    "links": {
        name: {"operationId": f"notifications_{module}_{name}", **_BY_ID}
        for module, name in (
            ("api_reading", "notification_state"),
            ("api_reading", "notification_deliveries"),
            ("api_sending", "cancel_notification"),
        )
    },
}


class Accepted(Schema):
    """A notification that is stored, and whose deliveries are on their way."""

    id: UUID
    url: str = Field(
        description="Where its state is.", examples=["/api/v1/notifications/0b4ccd55-4ad3-4c4c-a5f2-0a6d8a0f6a67"]
    )
    recipients: int = Field(description="How many deliveries it has.", examples=[2])


class Cancelled(Schema):
    id: UUID
    cancelled: int = Field(description="Deliveries that will not be sent.", examples=[998])
    too_late: int = Field(description="Deliveries that were sent, or came to another end, before that.", examples=[2])


@router.post(
    "/notifications",
    response={202: Accepted, **problems.documented(413, 415, 422)},
    summary="Write to people",
    **(needs(SEND) | {"openapi_extra": needs(SEND)["openapi_extra"] | {"responses": {202: _ACCEPTED}}}),
)
def create_notification(
    request: HttpRequest,
    new: NewNotification,
    response: HttpResponse,
    idempotency_key: Annotated[
        api_keys.Key,
        Header(
            None,
            alias=api_keys.HEADER,
            description="Any text of yours. Called again with it, the answer is that of the first call, and nothing is "
            "sent twice; with it and another body, it is 422. It is yours alone: other tokens may use the same one.",
        ),
    ] = None,
) -> Status[Accepted]:
    """Stores it with all its deliveries, or nothing of it, and answers at once; `url`, and the header `Location`, tell
    later what became of it. Give `template` and `context`, or `subject` with `text` or `html`."""
    stored = _stored(new, token=token_of(request), key=idempotency_key)
    url = reverse("api:notification_state", kwargs={"notification_id": stored.pk})
    response["Location"] = url
    return Status(202, Accepted(id=stored.pk, url=url, recipients=stored.recipients))


@router.post(
    "/notifications/{uuid:notification_id}/cancel",
    response={200: Cancelled, **problems.documented(404)},
    summary="Cancel what is not sent yet",
    **needs(CANCEL),
)
def cancel_notification(
    request: HttpRequest,  # noqa: ARG001  (Ninja knows it by its name)
    notification_id: UUID,
) -> Cancelled | HttpResponse:
    """Safe to call again: the answer tells of all that was ever cancelled."""
    notification = finding.notification(notification_id)
    if notification is None:
        return api_reading.unknown(notification_id)
    services.cancel(notification)
    progress = progress_of(notification)
    cancelled = progress.counts[Delivery.State.CANCELLED]
    return Cancelled(id=notification.pk, cancelled=cancelled, too_late=progress.stored - cancelled)


def _stored(new: NewNotification, *, token: ApiToken, key: str | None) -> Notification:
    """The notification of this call, or that of an earlier one with the same key. Raises InvalidNotification."""
    try:
        useless = list(new.useless_values())
    except LookupError as error:
        raise InvalidNotification([Problem("channel", str(error))]) from None
    if useless:
        detail = "is only for a template or a webhook; name one in template, or leave it out."
        raise InvalidNotification([Problem(field, detail) for field in useless])
    recipients = new.recipients()
    draft: dict[str, Any] = {
        **new.draft(),
        "key": api_keys.of_token(token, key),
        "recipients": api_keys.digest(recipients),
        "created_by": f"API token {token.name}",
    }
    # Looked for first, since a template may have changed meanwhile, and the answer must not.
    found = finding.of_key(draft["key"]) if draft["key"] else None
    if found is None:
        with transaction.atomic():
            found = services.notify(recipients, **draft)
    if found.fingerprint != Draft(**draft).fingerprint:
        raise InvalidNotification(
            [Problem(api_keys.HEADER, "came before with another body; send the same body, or another key.")]
        )
    return found
