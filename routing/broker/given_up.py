"""A message in one of RabbitMQ's dead-letter queues, read as far as it can be: what it is, and why it is there."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import amqp
from celery import current_app
from django.utils import timezone
from kombu.exceptions import ContentDisallowed
from kombu.exceptions import DecodeError as KombuDecodeError
from kombu.serialization import loads, prepare_accept_content

from routing.broker.names import logical
from routing.broker.sending import EPOCH_HEADER
from routing.broker.topology import UNROUTED_QUEUE
from routing.domains import registry
from routing.ledger import typed
from routing.ledger.dead_messages import DeadMessage
from routing.ledger.tables import DeadLetter

Reason = DeadLetter.Reason
OF_THE_DELIVERY = {"x-delivery-count", "x-acquired-count"}
"""What RabbitMQ adds each time that it gives the message: these would make it another message."""
NAMES, DOMAINS, QUEUES = 255, 40, 100
"""Characters that their columns hold; headers keep all of it."""


def read(message: amqp.Message, *, source: str) -> DeadMessage:
    """Whatever it is: nothing that a program may send is an error here."""
    properties: dict[str, Any] = dict(message.properties)
    headers: Mapping[str, Any] = properties.pop("application_headers", None) or {}
    headers = {name: each for name, each in headers.items() if name not in OF_THE_DELIVERY}
    raw = _raw(message)
    delivery_info: Mapping[str, Any] = message.delivery_info or {}
    deaths = [one for one in _list(headers.get("x-death")) if isinstance(one, Mapping)]
    # RabbitMQ puts the latest first.
    queue = logical(str(deaths[0].get("queue", "") if deaths else delivery_info.get("routing_key") or ""))
    reason, error = _cause(headers, properties, raw, deaths=deaths, source=source, queue=queue)
    task, typed_headers = _text(headers.get("task")), typed.dumps(headers)
    typed_properties = typed.dumps(properties)
    return DeadMessage(
        task_id=_id(headers.get("id")),
        task=task,
        epoch=_epoch(headers.get(EPOCH_HEADER)),
        domain=_domain(task, queue, source)[:DOMAINS],
        queue=_storable(queue)[:QUEUES],
        headers=typed_headers,
        properties=typed_properties,
        raw=raw,
        reason=reason.value,
        error=error,
        source=source,
        delivery=_identity(source, typed_headers, typed_properties, raw),
        redelivered=bool(delivery_info.get("redelivered")),
        history=(*map(_death, reversed(deaths)), {"at": _moment(timezone.now()), "event": "collected", "from": source}),
    )


def unread(message: amqp.Message, *, source: str, error: Exception) -> DeadMessage:
    """Nothing but its bytes, where even ``read`` has failed."""
    raw, why = _raw(message), _storable(repr(error))
    return DeadMessage(
        task_id="",
        task="",
        epoch=None,
        domain=_domain("", "", source),
        queue="",
        headers=typed.dumps({"repr": _storable(repr(message.properties))}),
        properties="{}",
        raw=raw,
        reason=Reason.UNDECODABLE.value,
        error=f"It could not be understood: {why}",
        source=source,
        delivery=_identity(source, repr(message.properties), raw),
        redelivered=bool((message.delivery_info or {}).get("redelivered")),
    )


def _raw(message: amqp.Message) -> bytes:
    body = message.body or b""
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)


def _cause(
    headers: Mapping[str, Any],
    properties: Mapping[str, Any],
    raw: bytes,
    *,
    deaths: list[Mapping[str, Any]],
    source: str,
    queue: str,
) -> tuple[Reason, str]:
    died_of = _text(deaths[0].get("reason")) if deaths else ""
    if source == logical(UNROUTED_QUEUE.name):
        return Reason.MISROUTED, f"No queue is called {_storable(queue)!r}. Correct the program that sent it."
    if died_of == "expired":
        return Reason.EXPIRED, f"Nobody had taken it from {queue} by the time that its sender gave it."
    if died_of == "delivery_limit":
        return Reason.RETURNED, f"Workers of {queue} gave it back, or died with it, too often."
    return _rejected(headers, properties, raw)


def _rejected(headers: Mapping[str, Any], properties: Mapping[str, Any], raw: bytes) -> tuple[Reason, str]:
    """Why a worker rejected it: RabbitMQ is not told, so it is looked at as a worker would."""
    kind, encoding = _text(properties.get("content_type")), _text(properties.get("content_encoding"))
    try:
        body = loads(raw, kind, encoding or "utf-8", accept=prepare_accept_content(current_app.conf.accept_content))
    except ContentDisallowed:
        return Reason.REFUSED, f"Its content type is {kind or 'none'}; workers take JSON only."
    except (KombuDecodeError, LookupError, ValueError, TypeError, RecursionError) as error:
        return Reason.UNDECODABLE, _storable(f"Its body cannot be read as {kind or 'text'}: {error}")[:500]
    task = _text(headers.get("task"))
    if not task or not _id(headers.get("id")) or not isinstance(body, list):
        return Reason.UNDECODABLE, "It is no message of Celery's protocol 2: headers task and id, and a list as body."
    if task not in current_app.tasks:
        return Reason.UNKNOWN, f"No code here has the task {task}. Deploy it, or correct the name."
    return Reason.REJECTED, f"A worker rejected it, most likely as its code did not have {task} then."


def _domain(task: str, queue: str, source: str) -> str:
    domain = registry().of_queue(queue) or (registry().of_task(task) if task else None)
    if domain is not None:
        return domain.name
    return next((each.name for each in registry() if each.dead_letter_queue == source), "")


def _identity(*parts: str | bytes) -> str:
    digest = sha256()
    for part in parts:
        data = part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def _death(death: Mapping[str, Any]) -> dict[str, Any]:
    at = death.get("time")
    return {
        "at": _moment(at.replace(tzinfo=UTC)) if isinstance(at, datetime) else None,
        "event": "dead-lettered",
        "queue": logical(_text(death.get("queue"))),
        "reason": _text(death.get("reason")),
        "count": death["count"] if isinstance(death.get("count"), int) else None,
    }


def _epoch(value: Any) -> int | None:
    is_one = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
    return value if is_one else None


def _id(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= NAMES and value == _storable(value) else ""


def _text(value: Any) -> str:
    return _storable(value)[:NAMES] if isinstance(value, str) else ""


def _storable(text: str) -> str:
    """PostgreSQL cannot store a NUL, nor half of a surrogate pair."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
