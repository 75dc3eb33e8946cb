"""Finds deliveries and notifications by what people have in hand: an address, a key, a Message-ID or any id."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from notifications import channels
from notifications.addresses import InvalidAddress
from notifications.tables import Attempt, Delivery, Notification
from notifications.templating.tables import TemplateVersion
from routing.ledger import lookup

Row = TypeVar("Row")

LONGEST_NUMBER = 19
_WHOM = {"webhook": _("a webhook endpoint"), "in_app": _("a user"), "chat": _("a chat target")}
_MESSAGE_ID = re.compile(r"<?([0-9a-f]{32})\.([0-9]{1,9})@[^@\s<>]+>?|msg_([0-9a-f]{32})_([0-9]{1,9})", re.IGNORECASE)
"""As mail readers know it, or as the header ``webhook-id`` has it."""
_OF_KEY, _OF_ID = _("the key of a notification"), _("the id of a notification")
_OF_ONE = ([_OF_KEY], [_OF_ID])


@dataclass(frozen=True)
class Found:
    """Each part of ``where`` is served by an index. ``address_key`` is set where it was looked for as an address."""

    where: Q
    what: str | Promise
    address_key: str = ""
    channel: str = "email"
    is_of_one: bool = False
    """Whether all of them are deliveries of one notification."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows, and the cursor that begins the next page; None after the last."""

    rows: Sequence[Row]
    next: int | None


def deliveries(term: str) -> Found:
    """What this may be, and the deliveries that it then means."""
    term = _clean(term)
    if part := _message_id(term):
        return Found(part, _("a Message-ID"))
    if "@" in term:
        return _by_address(term)
    where, names, named = Q(pk__in=[]), [], _named(term)
    if named:
        where, names = named.where, [str(named.what)]
    for name, part in (parts := list(_by_id(term))):
        where |= part
        names.append(str(name))
    what = names[0] if len(names) == 1 else _("an id or a key")
    if named:
        return Found(where, what, named.address_key, named.channel)
    return Found(where, what, is_of_one=[name for name, _part in parts] in _OF_ONE)


def notifications(term: str) -> Q:
    """By key, id, Message-ID, or the name of its template."""
    term = _clean(term)
    where = Q(key=term)
    # Asked first: OR over several tables would be served by no index.
    if versions := list(TemplateVersion.objects.filter(template__name=term).values_list("pk", flat=True)):
        where |= Q(template__in=versions)
    if match := _MESSAGE_ID.fullmatch(term):
        return Q(pk=UUID(match[1] or match[3]))
    return where | Q(pk=found) if (found := _uuid(term)) else where


def notification(pk: UUID) -> Notification | None:
    return Notification.objects.select_related("template__template").filter(pk=pk).first()


def of_key(key: str) -> Notification | None:
    return Notification.objects.filter(key=key).first()


def page_of(of: Notification, *, state: str = "", cursor: int | None = None, limit: int = 50) -> Page[Delivery]:
    """In the order of the recipients, those behind the cursor, a position."""
    rows = _with_attempts(Delivery.objects.filter(notification=of).order_by("position"))
    if state:
        rows = rows.filter(state=state)
    if cursor is not None:
        rows = rows.filter(position__gt=cursor)
    return page(rows, limit, lambda last: last.position)


def of_address(text: str, *, channel: str = "email", cursor: int | None = None, limit: int = 50) -> Page[Delivery]:
    """“Did she get it?”: newest first, those behind the cursor, an id. Raises InvalidAddress and LookupError."""
    key = channels.get(channel).key(text)
    rows = _with_attempts(Delivery.objects.filter(address_key=key, channel=channel).order_by("-pk"))
    if cursor is not None:
        rows = rows.filter(pk__lt=cursor)
    return page(rows, limit, lambda last: last.pk)


def page(rows: "QuerySet[Any]", limit: int, cursor: Callable[[Any], int]) -> Page[Any]:
    """The first ``limit`` of them; by one more than that it is known whether there are others."""
    found = list(rows[: limit + 1])
    more = len(found) > limit
    return Page(found[:limit], cursor(found[limit - 1]) if more else None)


def _by_address(term: str) -> Found:
    try:
        key = channels.get("email").address(term).key
    except InvalidAddress:
        # Keys may have an @, too.
        what = _("the key of a notification, as it is no e-mail address")
        return Found(Q(notification__in=_of_key(term)), what, is_of_one=True)
    where = Q(address_key=key)
    if keyed := _of_key(term):
        where |= Q(notification__in=keyed)
    if named := _named(term):
        where |= named.where
    return Found(where, _("an e-mail address"), key)


def _by_id(term: str) -> Iterator[tuple[str | Promise, Q]]:
    if keyed := _of_key(term):
        yield _OF_KEY, Q(notification__in=keyed)
    if term.isascii() and term.isdigit() and len(term) < LONGEST_NUMBER:
        yield _("the number of a delivery"), Q(pk=int(term))
    # Where it is none, PostgreSQL would expect many rows, and go through the whole table from its end for them.
    if (found := _uuid(term)) and Notification.objects.filter(pk=found).exists():
        yield _OF_ID, Q(notification=found)
    if place := _place_of_task(term):
        yield _("the id of a task"), Q(notification=place[0], position=place[1])


def _of_key(term: str) -> list[UUID]:
    return list(Notification.objects.filter(key=term).values_list("pk", flat=True))


def _named(term: str) -> Found | None:
    """Of the channels whose recipients have names, the first that knows this one."""
    for channel in channels.all_of_them():
        if key := channel.known(term):
            return Found(Q(address_key=key, channel=channel.name), _WHOM[channel.name], key, channel.name)
    return None


def _message_id(term: str) -> Q | None:
    match = _MESSAGE_ID.fullmatch(term)
    return Q(notification=UUID(match[1] or match[3]), position=int(match[2] or match[4])) if match else None


def _place_of_task(task_id: str) -> tuple[UUID, int] | None:
    """Asked of the ledger, which has an index of them: deliveries would be slower to store with one of their own."""
    for one in dict.fromkeys((task_id, task_id.lower())):
        if message := lookup.in_flight(one):
            return place(lookup.arguments(message.body)[0])
        for arguments in TaskResult.objects.filter(task_id=one).values_list("task_args", flat=True):
            return place(arguments)
    return None


def place(arguments: str | None) -> tuple[UUID, int] | None:
    """Which delivery a task with these arguments is for."""
    try:
        notification, position = json.loads(arguments or "")
    except (ValueError, TypeError):
        return None
    found = _uuid(notification)
    return (found, position) if found and isinstance(position, int) else None


def _uuid(term: Any) -> UUID | None:
    try:
        return UUID(term)
    except (ValueError, AttributeError, TypeError):
        return None


def _clean(term: str) -> str:
    return term.strip().replace("\0", "")


def _with_attempts(rows: "QuerySet[Delivery]") -> "QuerySet[Delivery]":
    attempts = Prefetch("attempts", Attempt.objects.order_by("number"))
    return rows.select_related("notification__template__template").prefetch_related(attempts)
