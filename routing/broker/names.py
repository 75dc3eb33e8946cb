"""What queues and exchanges are called on RabbitMQ: by their own names, behind ``TASKYARD_NAMESPACE`` where one is set.

Ledger, code and people know a queue by its own name; what is said to RabbitMQ, or heard from it, goes through here.
"""

import os

SEPARATOR = ":"
"""No domain and no lane has one in its name."""
PREFIX = f"{_namespace}{SEPARATOR}" if (_namespace := os.environ.get("TASKYARD_NAMESPACE", "")) else ""
"""From the environment: the names are needed while Django's settings are still being made, which check it."""


def physical(name: str) -> str:
    """As RabbitMQ knows it. Safe to call again on what it returned."""
    return name if name.startswith(PREFIX) else PREFIX + name


def logical(name: str) -> str:
    """As we know it. Safe to call again on what it returned."""
    return name.removeprefix(PREFIX)
