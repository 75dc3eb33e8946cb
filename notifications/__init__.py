"""Reach people: ``notifications.notify(to=…, template=…)``, and forget about it."""

from typing import Any


def notify(to: Any, **what: Any) -> Any:
    """See notifications.services.notify. The models it needs are there once Django is set up."""
    from notifications import services

    return services.notify(to, **what)
