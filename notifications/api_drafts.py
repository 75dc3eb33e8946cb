"""What a program sends to have people written to, in the shape that the API's description shows."""

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from django.conf import settings
from ninja import Field, Schema
from pydantic import BeforeValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from notifications import attachments, categories, channels, lanes
from notifications.channels import email
from notifications.given import Recipient
from routing.domains import DEFAULT_LANE

MAX_RECIPIENTS = 1_000
MAX_ADDRESS = 400
"""With its name."""
MAX_REPLY_TO = 10
MAX_LANGUAGE = 40

# RFC 3339, of whose forms Python reads a few more.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)

_ADDRESS = {
    "type": "string",
    "format": "mailbox",
    "maxLength": MAX_ADDRESS,
    "description": "As `ann@example.org` or `Ann Example <ann@example.org>`.",
    "examples": ["Ann Example <ann@example.org>"],
}
_TO = {
    **_ADDRESS,
    "description": f"{_ADDRESS['description']} For a webhook, the name of its endpoint; for chat, that of its target.",
}
_VALUES = {"type": "object", "additionalProperties": True, "description": "Values of the template for this recipient."}
_LANGUAGE = {
    "type": "string",
    "maxLength": MAX_LANGUAGE,
    "description": "What this recipient reads, such as `fr` or `fr-CA`. One that is not spoken here is left out.",
}
_RECIPIENT = {
    "anyOf": [
        _TO,
        {
            "type": "object",
            "properties": {"to": _TO, "context": _VALUES, "language": _LANGUAGE},
            "required": ["to"],
            "additionalProperties": False,
        },
    ]
}


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise ValueError
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError(
            "moment", "is no point in time; write one with its offset, such as 2026-11-27T09:00:00Z."
        ) from None


def _not_too_many(value: Any) -> Any:
    if isinstance(value, list) and len(value) > MAX_RECIPIENTS:
        raise PydanticCustomError(
            "too_many",
            "has more than {most} recipients. Send the others in further calls, or all of them with "
            "“manage.py notify --csv” or notifications.notify_many.",
            {"most": f"{MAX_RECIPIENTS:,}"},
        )
    return value


Moment = Annotated[
    datetime | None, BeforeValidator(_moment), WithJsonSchema({"type": ["string", "null"], "format": "date-time"})
]


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise PydanticCustomError(
            "base64", "is no Base64; write the bytes of the file so (RFC 4648, section 4), without line breaks."
        ) from None


Mailbox = Annotated[str, Field(max_length=MAX_ADDRESS), WithJsonSchema(_ADDRESS)]


class NewRecipient(Schema):
    model_config = ConfigDict(extra="forbid")

    to: str = Field(max_length=MAX_ADDRESS)
    context: dict[str, Any] = {}
    language: str = Field("", max_length=MAX_LANGUAGE)

    @model_validator(mode="before")
    @classmethod
    def _of_address(cls, data: Any) -> Any:
        """An address alone will do."""
        given = getattr(data, "_obj", data)
        if isinstance(given, str):
            return {"to": given}
        if not isinstance(given, dict):
            raise PydanticCustomError("recipient", "is no recipient; give an address, or an object with “to”.")
        return data


class NewAttachment(Schema):
    """A file that goes with each of the e-mails."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        min_length=1, max_length=attachments.MAX_NAME, description="As readers see it.", examples=["invoice.pdf"]
    )
    content: Annotated[
        bytes,
        BeforeValidator(_decoded),
        WithJsonSchema({"type": "string", "format": "byte", "description": "Its bytes, in Base64."}),
    ]
    content_type: str | None = Field(
        None, description="Guessed from the name if left out.", examples=["application/pdf"]
    )

    def file(self) -> tuple[str, bytes, str]:
        return self.name, self.content, self.content_type or ""


class NewNotification(Schema):
    """One thing to say to one or more recipients, each of whom is written to alone."""

    model_config = ConfigDict(extra="forbid")

    to: Annotated[
        list[Annotated[NewRecipient, WithJsonSchema(_RECIPIENT)]],
        BeforeValidator(_not_too_many),
        Field(
            min_length=1,
            description="An address each, or an object with an address and the values that only concern it.",
            json_schema_extra={"maxItems": MAX_RECIPIENTS},
            examples=[[{"to": "Ann Example <ann@example.org>", "context": {"name": "Ann"}}, "ben@example.org"]],
        ),
    ]
    channel: str = Field(
        "email",
        description="How it reaches them. A `webhook` has a type of event in `subject`, and its data in `context`.",
        json_schema_extra={"enum": [one.name for one in channels.all_of_them()]},
    )
    template: str | None = Field(
        None, description="Name of a template, in place of subject, text and html.", examples=["welcome"]
    )
    context: dict[str, Any] = Field(
        default={}, description="Values of the template, the same for all recipients.", examples=[{"shop": "Acme"}]
    )
    subject: str = Field("", description=f"One line, at most {email.MAX_SUBJECT} characters; without a template.")
    text: str = Field("", description="Without a template; made from `html` if left out.")
    html: str = Field("", description="Without a template; style sheets in it are written into the elements.")
    category: str | None = Field(
        None,
        description=f"Why it is sent, by which recipients unsubscribe; `{categories.default()}` if left out.",
        json_schema_extra={"enum": [*categories.registry(), None]},
    )
    lane: str = Field(
        DEFAULT_LANE,
        description="Which queue it waits in, so that a password reset does not wait behind a newsletter.",
        json_schema_extra={"enum": [lane.name for lane in lanes.domain().lanes]},
    )
    language: str = Field(
        "",
        description="What recipients read who bring no language of their own; the installation's if left out.",
        json_schema_extra={"enum": ["", *(code for code, _name in settings.LANGUAGES)]},
    )
    send_at: Moment = Field(None, description="Not before this point in time.", examples=["2027-01-01T09:00:00Z"])
    from_email: Mailbox | None = Field(None, description="The sender; the installation's own if left out.")
    reply_to: list[Mailbox] = Field(default=[], max_length=MAX_REPLY_TO, description="Where answers go.")
    attachments: list[NewAttachment] = Field(
        default=[],
        max_length=attachments.MOST,
        description=f"Files that go with it, together at most {settings.TASKYARD_MAX_ATTACHMENTS:,} bytes, and in "
        "Base64 no more than the whole call may have.",
    )

    def recipients(self) -> list[Recipient]:
        return [Recipient(one.to, one.context, one.language) for one in self.to]

    def draft(self) -> dict[str, Any]:
        """The rest of it, as ``notifications.services.notify`` takes it."""
        given = {name: getattr(self, name) for name in type(self).model_fields if name != "to"}
        given["attachments"] = [file.file() for file in self.attachments]
        return {name: value for name, value in given.items() if name != "category" or value is not None}

    def useless_values(self) -> Iterable[str]:
        """The fields whose values nothing would be filled in with. Raises LookupError for a channel that is none."""
        if self.template is not None or channels.get(self.channel).takes_values:
            return
        if self.context:
            yield "context"
        for number, one in enumerate(self.to):
            if one.context:
                yield f"to.{number}.context"
