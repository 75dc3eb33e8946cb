"""Reach people: ``notifications.notify(to=…, template=…)``, and forget about it."""

from typing import Any


def notify(to: Any, **what: Any) -> Any:
    """See notifications.services.notify. The models it needs are there once Django is set up."""
    from notifications import services

    return services.notify(to, **what)


def notify_many(recipients: Any, *, key: str, **what: Any) -> Any:
    """See notifications.services.notify_many."""
    from notifications import services

    return services.notify_many(recipients, key=key, **what)
