"""Holding: whether an apply keeps a queue of this worker to itself just now. The heart looks, the consumer obeys.

The consumer does not look itself: a database that hangs would keep it from its connection to RabbitMQ.
"""

import threading
from collections.abc import Set

from routing.ledger import queues

is_held = threading.Event()


def look(served: Set[str]) -> None:
    if queues.held() & served:
        is_held.set()
    else:
        is_held.clear()
