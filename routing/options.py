"""Every option of ``apply_async``: honoured, or refused with its cure. docs/lifecycle.md shows the table."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

HONOURED = {
    "args": "arguments, as JSON",
    "kwargs": "named arguments, as JSON",
    "task_id": "an id in flight or finished is not enqueued again",
    "countdown": "seconds, down to milliseconds, or a timedelta, by the database's clock; below zero is at once",
    "eta": "an aware datetime or ISO text",
    "expires": "seconds, a timedelta, an aware datetime or ISO text; what has not started by then is REVOKED (expired)",
    "queue": "the name of a declared queue",
    "unique_key": "joins the task in flight under this key and returns its handle",
    "unique_for": "seconds or a timedelta that the key outlasts its enqueueing, also when the task ends sooner",
    "priority": "on the message; RabbitMQ 4 has two priorities in a quorum queue, 3 ignores it",
    "link": "enqueued with the success, in its transaction",
    "link_error": "enqueued with the failure, in its transaction",
    "headers": "on the message, and in the task's request; short, at most 64 KiB with all else",
    "ignore_result": "the outcome is recorded without a result",
    "time_limit": "before the domain's",
    "soft_time_limit": "before the domain's",
    "shadow": "the name in logs",
    "stamped_headers": "with each stamp as an option of its own",
    "add_to_parent": "whether the parent's result lists it as a child",
    "reply_to": "on the message",
    "correlation_id": "on the message",
    "message_id": "on the message",
    "app_id": "on the message",
    "type": "on the message",
    "retry": "always: the relay publishes until RabbitMQ confirms",
    "retry_policy": "the relay's own: up to a minute between two attempts",
    "mandatory": "always: an unroutable message comes back to the relay",
    "serializer": "json only",
    "delivery_mode": "2 (persistent) only",
}
PROPERTIES = ("priority", "reply_to", "correlation_id", "message_id", "app_id", "type")
"""Those that travel as properties of the AMQP message."""

REFUSED = {
    "connection": "Enqueueing writes to the database and opens no connection to the broker; leave it out.",
    "producer": "Enqueueing writes to the database and opens no connection to the broker; leave it out.",
    "publisher": "Enqueueing writes to the database and opens no connection to the broker; leave it out.",
    "exchange": "A task goes to a queue by name; use queue=.",
    "exchange_type": "A task goes to a queue by name; use queue=.",
    "routing_key": "A task goes to a queue by name; use queue=.",
    "router": "Routes come from project/domains.py; use queue= for one call.",
    "compression": "The ledger keeps the message readable; leave it out, and pass large data by reference.",
    "expiration": "RabbitMQ would drop the message without an outcome; use expires=.",
    "immediate": "RabbitMQ does not support it; leave it out.",
    "declare": "Queues come from project/domains.py: manage.py topology apply.",
    "timeout": "Nothing is published by this call, so nothing can take long; leave it out.",
    "confirm_timeout": "Nothing is published by this call; the relay waits for the confirmation. Leave it out.",
    "event_dispatcher": "Nothing is published by this call; leave it out.",
    "user_id": "RabbitMQ checks it against the relay's own user; use headers=.",
}
ONLY = {
    "serializer": (("json", "application/json"), "Tasks are JSON only; leave it out."),
    "delivery_mode": ((2, "persistent"), "Every message is persistent; leave it out."),
}


CELERYS_OWN = frozenset(
    {
        *(
            "task_type",
            "route_name",
            "result_cls",
            "ledger",
            "retries",
            "origin",
            "chord",
            "chain",
            "group",
            "group_id",
        ),
        *("group_index", "root_id", "parent_id", "replaced_task_nesting", "argsrepr", "kwargsrepr", "stamps"),
        *("create_sent_event", "redelivered", "chord_size", "parent", "delivery_info", "hostname", "lang", "timelimit"),
        *("content_type", "content_encoding", "periodic_task_name"),
    }
)
"""What Celery adds by itself where it sends a chain, a group, a chord, a retry or a replacement."""


class UnusableOption(TypeError):
    """An option that cannot be honoured. The message tells what to do in its place."""

    def __init__(self, option: str, cure: str) -> None:
        super().__init__(f"The option {option}= is not supported: {cure}")


def check(options: Mapping[str, Any]) -> None:
    """Raises UnusableOption. None and False ask for nothing."""
    stamps = set(options.get("stamped_headers") or ())
    for name, value in options.items():
        if value is None or value is False:
            continue
        if name in REFUSED:
            raise UnusableOption(name, REFUSED[name])
        if name not in HONOURED and name not in CELERYS_OWN and name not in stamps:
            close = get_close_matches(name, HONOURED, n=1)
            hint = f"did you mean {close[0]}=?" if close else "docs/lifecycle.md lists those that are."
            raise UnusableOption(name, f"{hint} What is meant for the task goes into its arguments or headers=.")
        allowed, cure = ONLY.get(name, ((value,), ""))
        if value not in allowed:
            raise UnusableOption(f"{name}={value!r}", cure) from None


def markdown() -> str:
    """The rows of the table in docs/lifecycle.md."""
    refused = {name: f"refused. {cure}" for name, cure in REFUSED.items()}
    return "\n".join(f"| `{name}` | {fate} |" for name, fate in {**HONOURED, **refused}.items())
