"""An e-mail to a few recipients as one task: the API's first operation, kept for those that call it."""

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from notifications import lanes, services
from notifications.api_drafts import Mailbox
from notifications.api_scopes import SEND
from notifications.channels import email
from routing.console.api import Enqueued, enqueued
from routing.console.api_access import needs
from routing.console.problems import documented
from routing.domains import DEFAULT_LANE

router = Router(tags=["Notifications"])


class NewEmail(Schema):
    """One e-mail to one or more recipients."""

    model_config = ConfigDict(extra="forbid")

    to: list[Mailbox] = Field(
        json_schema_extra={"minItems": 1},
        description="Each as `ann@example.org` or `Ann Example <ann@example.org>`, and written to alone.",
        examples=[["Ann Example <ann@example.org>"]],
    )
    subject: str = Field(
        description=f"One line, at most {email.MAX_SUBJECT} characters.", examples=["Your invoice of November"]
    )
    text: str = Field(examples=["Hello Ann,\n\nyour invoice is ready.\n"])
    html: str | None = Field(None, description="The same as HTML, for mail readers that show it.")
    from_email: Mailbox | None = Field(None, description="The sender; the installation's own if left out.")
    reply_to: list[Mailbox] = Field(default=[], description="Where answers go.")
    lane: str = Field(
        DEFAULT_LANE,
        description="Which queue it waits in, so that a password reset does not wait behind a newsletter.",
        json_schema_extra={"enum": [lane.name for lane in lanes.domain().lanes]},
    )


@router.post(
    "/emails",
    response={202: Enqueued, **documented(413, 422)},
    summary="Send an e-mail, as one task",
    **needs(SEND),
)
def send_email(
    request: HttpRequest,  # noqa: ARG001  (Ninja knows it by its name)
    new: NewEmail,
    response: HttpResponse,
) -> Status[Enqueued]:
    """Enqueues it and answers at once; `url`, and the header `Location`, tell later what became of the task.

    `POST /notifications` does the same and more: templates, keys, and what became of each recipient.
    """
    task = services.send_email(**new.dict())
    return Status(202, enqueued(task, response))
