"""Celery's remote control, with a deadline: what living workers answer, asked over a connection of its own."""

from collections.abc import Sequence
from typing import Any

from celery import current_app

from routing.broker.inspection import answering


def ask(command: str, workers: Sequence[str], *, seconds: float, **arguments: Any) -> dict[str, Any]:
    """By worker, what it answered; those that did not in time are not there. Raises BrokerUnavailable.

    It waits until all of them have answered, and no longer than this; as long to reach RabbitMQ.
    """
    if not workers:
        return {}
    with answering(seconds=seconds) as connection:
        found = current_app.control.broadcast(
            command,
            arguments,
            destination=list(workers),
            connection=connection,
            reply=True,
            timeout=seconds,
            limit=len(workers),
        )
    return {name: answer for reply in found or () for name, answer in reply.items()}
