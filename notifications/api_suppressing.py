"""The suppression list, for programs that call the HTTP API."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Body, Field, Path, Query, Router, Schema, Status
from pydantic import ConfigDict

from notifications import api_reading, finding
from notifications.addresses import InvalidAddress
from notifications.api_drafts import MAX_ADDRESS
from notifications.api_reading import Address, AfterId, Limit, one_of
from notifications.api_scopes import SUPPRESSIONS_READ, SUPPRESSIONS_WRITE
from notifications.consent import suppression_list
from notifications.consent.tables import Suppression
from notifications.problems import InvalidNotification, Problem
from routing.console import problems
from routing.console.api_access import needs, token_of

router = Router(tags=["Suppressions"])

MAX_DETAIL = 1_000


class NewSuppression(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: Suppression.Reason = Field(
        Suppression.Reason.BY_HAND, description="Why it is not to be written to any more."
    )
    detail: str = Field("", max_length=MAX_DETAIL, description="More of that, for people.")


BY_HAND = NewSuppression.model_validate({})


class SuppressedAddress(Schema):
    """An address that nothing is sent to over a channel; after a complaint, nothing but what is required."""

    address: str = Field(description="In the one spelling by which it is looked up.", examples=["ann@example.org"])
    channel: str = Field(examples=["email"])
    reason: Annotated[str, one_of(*Suppression.Reason.values)]
    detail: str = Field(examples=["550 5.1.1 No such user"])
    since: datetime
    by: str = Field(description="Who did it; empty where a server's answer did.", examples=["API token web shop"])


class Suppressions(Schema):
    suppressions: list[SuppressedAddress]
    next: str | None = Field(description="The URL of the next page; null on the last.")


class Lifted(Schema):
    address: str
    lifted: int = Field(description="How many suppressions were in force; 0 if it was not suppressed.", examples=[1])


@router.get(
    "/suppressions",
    response={200: Suppressions, **problems.documented(422)},
    summary="The addresses that are not written to",
    **needs(SUPPRESSIONS_READ),
)
def list_suppressions(
    request: HttpRequest,
    address: Annotated[
        Address | None, Query(..., min_length=1, max_length=MAX_ADDRESS, description="Only this one.")
    ] = None,
    cursor: AfterId = None,
    limit: Limit = api_reading.PAGE,
) -> Suppressions:
    """The newest first; with `address`, whether and why that one is suppressed."""
    with _named("address"):
        rows = suppression_list.suppressions(address or "")
    if cursor:
        rows = rows.filter(pk__lt=int(cursor))
    page = finding.page(rows, limit, lambda last: last.pk)
    return Suppressions(suppressions=[_shown(row) for row in page.rows], next=api_reading.next_url(request, page.next))


@router.put(
    "/suppressions/{path:address}",
    response={200: SuppressedAddress, 201: SuppressedAddress, **problems.documented(413, 415, 422)},
    summary="Never write to an address again",
    **needs(SUPPRESSIONS_WRITE),
)
def suppress_address(
    request: HttpRequest,
    address: Annotated[Address, Path(..., max_length=MAX_ADDRESS)],
    new: Annotated[NewSuppression, Body(...)] = BY_HAND,
) -> Status[SuppressedAddress]:
    """201 if it was written to until now, 200 if it was suppressed already: then that stays as it was."""
    with _named("address"):
        row, is_new = suppression_list.suppress(
            address, reason=new.reason, detail=new.detail, by=f"API token {token_of(request).name}"
        )
    return Status(201 if is_new else 200, _shown(row))


@router.delete(
    "/suppressions/{path:address}",
    response={200: Lifted, **problems.documented(422)},
    summary="Write to an address again",
    **needs(SUPPRESSIONS_WRITE),
)
def lift_suppression(
    request: HttpRequest,
    address: Annotated[Address, Path(..., max_length=MAX_ADDRESS)],
) -> Lifted:
    """Safe to call again: then it lifts none."""
    with _named("address"):
        lifted = suppression_list.lift(address, by=f"API token {token_of(request).name}")
        return Lifted(address=suppression_list.key(address), lifted=lifted)


@contextmanager
def _named(field: str) -> Iterator[None]:
    try:
        yield
    except InvalidAddress as error:
        raise InvalidNotification([Problem(field, f"cannot be used: {error}.")]) from None


def _shown(row: Suppression) -> SuppressedAddress:
    return SuppressedAddress(
        address=row.address_key,
        channel=row.channel,
        reason=row.reason,
        detail=row.detail,
        since=row.created_at,
        by=row.created_by,
    )
