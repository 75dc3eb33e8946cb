"""Pair: the two hands of a relay process, each a relay of its own in its own thread with its own connections.

What holds for several relays at once holds for them: each publication is taken by one of them only.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from routing.broker.hands import QuickHand, SlowHand, SlowQueues
from routing.broker.keeper import Keeper
from routing.broker.relay import Config, Relay
from routing.ledger import database

QUICK_BATCH, QUICK_BYTES = 50, 256 * 1024
"""What the quick hand takes from a queue at once: what it publishes and has confirmed within a few milliseconds."""
SWITCH_EVERY = 0.0001
"""Seconds that the slow hand's thread may keep the interpreter from the quick one's."""


def run(config: Config, *, stop: threading.Event, keeper: Keeper) -> None:
    """Publish until told to stop; then the batches at hand are finished. On SQLite there is one hand for all."""
    if not database.on_postgresql():
        Relay(config, stop=stop, keeper=keeper).run()
        return
    sys.setswitchinterval(SWITCH_EVERY)
    queues = SlowQueues()
    little = replace(config, batch=min(config.batch, QUICK_BATCH), max_bytes=min(config.max_bytes, QUICK_BYTES))
    quick = Relay(little, stop=stop, keeper=keeper, hand=QuickHand(stop, queues))
    slow = Relay(config, stop=stop, keeper=keeper, hand=SlowHand(stop, queues), beside=quick)
    with ThreadPoolExecutor(1, thread_name_prefix="slow-hand") as threads:
        slow_run = threads.submit(slow.run)
        # Neither goes on alone: the queues of the other would be nobody's.
        slow_run.add_done_callback(lambda _: stop.set())
        try:
            quick.run()
        finally:
            stop.set()
            queues.interrupt()
        slow_run.result()
