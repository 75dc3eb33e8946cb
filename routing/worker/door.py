"""The door: what other programs publish is made fit for the ledger, or refused and kept; none of it ends a worker.

They speak Celery's protocol 2 (all but the arguments in headers) or 1 (all in the body), each in its own dialect: a
number as id, null in place of no arguments, a body without its third part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery.app.task import Context
from django.utils import timezone
from kombu import Message
from kombu.serialization import dumps

from routing import moments, sensitive
from routing.ledger import typed
from routing.refusals import NaiveTime, UnusableTime
from routing.sealed_messages import reprs, sealed_parts

_LISTS = (list, tuple)


class Unfit(ValueError):
    """Why a message cannot be a task."""


@dataclass(frozen=True)
class Visitor:
    """What a foreign message asks for; ``due`` where it wants to wait."""

    request: Any
    due: datetime | None


def examine(message: Message) -> Visitor | None:
    """Its id becomes text, and what was left out is filled in. None: it names no task, which Celery refuses itself.

    Raises Unfit, and whatever decoding raises.
    """
    payload = message.decode()
    fields: Any = message.headers if "task" in (message.headers or {}) else payload
    if not isinstance(fields, dict) or "task" not in fields:
        return None
    if not isinstance(fields["task"], str):
        raise Unfit(f"its task is {fields['task']!r:.60}, and not a name")
    args, kwargs, embed = _parts(fields["task"], message, payload)
    if sensitive.of(fields["task"]):
        fields |= reprs(args, kwargs)
    fields["id"] = _id(fields.get("id"))
    fields |= {name: typed.task_id(fields.get(name)) for name in ("root_id", "parent_id") if name in fields}
    _require_number(fields.get("retries"))
    _require_limits(fields.get("timelimit"))
    request = Context({**fields, **embed, "args": args, "kwargs": kwargs, **_delivery(message)})
    return Visitor(request, _due(fields))


def moment(value: object, *, utc: bool = True) -> datetime | None:
    """A time as it travels, ISO text. Without a zone it is UTC, or in the old protocol the sender's, taken as ours."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    if timezone.is_naive(parsed):
        parsed = timezone.make_aware(parsed, UTC if utc else timezone.get_current_timezone())
    return parsed


def _parts(task: str, message: Message, payload: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Arguments, named arguments and what follows, put back where Celery reads them, with secret ones sealed."""
    if isinstance(payload, dict):
        args, kwargs = _arguments(task, payload.get("args"), payload.get("kwargs"))
        payload |= sealed_parts(task, {**payload, "args": args, "kwargs": kwargs})
        found = {name: payload.get(name) for name in ("callbacks", "errbacks", "chord")}
        return payload["args"], payload["kwargs"], found
    if not isinstance(payload, list) or not 2 <= len(payload) <= 3:
        raise Unfit("its body is neither [args, kwargs, embed] nor an object with args and kwargs")
    args, kwargs = _arguments(task, *payload[:2])
    embed = (payload[2] if len(payload) > 2 else None) or {}
    if not isinstance(embed, dict):
        raise Unfit(f"what should follow it is no object: {_shown(task, embed)}")
    args, kwargs, embed = sealed_parts(task, [args, kwargs, embed])
    if [args, kwargs, embed] != payload:
        # Celery reads it here, and its children there.
        payload[:] = [args, kwargs, embed]
        message.content_type, message.content_encoding, message.body = dumps([args, kwargs, embed], serializer="json")
    return args, kwargs, embed


def _arguments(task: str, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    # PHP writes an empty object as a list.
    args, kwargs = [] if args is None else args, kwargs or {}
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise Unfit(f"its arguments are no list and object: {_shown(task, args)}, {_shown(task, kwargs)}")
    return args, kwargs


def _shown(task: str, value: object) -> str:
    return type(value).__name__ if sensitive.of(task) else f"{value!r:.60}"


def _id(value: object) -> str:
    text = typed.task_id(value)
    if text is None:
        raise Unfit(
            f"its id is {value!r:.60}, and has to be text of 1 to {typed.LONGEST_ID} bytes without NUL, or a number"
        )
    return text


def _require_number(retries: object) -> None:
    if retries is not None and (not isinstance(retries, int) or not 0 <= retries < 2**31 - 1):
        raise Unfit(f"its retries are {retries!r:.60}, and no count")


def _require_limits(limits: Any) -> None:
    is_pair = isinstance(limits, _LISTS) and len(limits) == 2
    if limits is not None and not (is_pair and all(isinstance(one, int | float | None) for one in limits)):
        raise Unfit(f"its timelimit is {limits!r:.60}, and no pair of seconds")


def _due(fields: Mapping[str, Any]) -> datetime | None:
    eta = fields.get("eta")
    if not eta:
        return None
    due = moment(eta, utc=bool(fields.get("utc", True)))
    if due is None:
        raise Unfit(f"its eta is {eta!r:.60}, and no ISO time")
    try:
        moments.due(None, due)
    except (NaiveTime, UnusableTime) as error:
        raise Unfit(f"its eta cannot be kept: {error}") from error
    return due


def _delivery(message: Message) -> dict[str, Any]:
    properties = message.properties or {}
    info = message.delivery_info or {}
    return {
        "delivery_info": {"routing_key": info.get("routing_key"), "exchange": info.get("exchange")},
        "correlation_id": properties.get("correlation_id"),
        "reply_to": properties.get("reply_to"),
        "headers": dict(message.headers or {}),
    }
