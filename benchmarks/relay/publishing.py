"""How many messages one relay publishes and has confirmed in a second, from a backlog, with nobody in its way."""

import time
from statistics import median

from kombu import Connection

from benchmarks.relay import flood, running, usage
from benchmarks.relay.services import Running
from benchmarks.relay.sheet import Sheet
from routing.broker.topology import message_count
from routing.ledger.tables import Outbox
from tests.waiting import until

LOOK_EVERY = 0.02
GIVEN_UP_AFTER = 300


def measure(services: Running, sheet: Sheet, *, backlog: int, rounds: int) -> None:
    found = [_once(services, backlog) for _ in range(rounds)]
    rates = [rate for rate, _ in found]
    middle, processor = median(rates), median([processor for _, processor in found])
    sheet.note("relay", {"per_s": round(middle), "rounds": [round(rate) for rate in rates], "cpu_us": round(processor)})
    sheet.say(f"  {middle:,.0f} messages/s published and confirmed ({', '.join(f'{rate:,.0f}' for rate in rates)})")
    sheet.say(f"  {processor:,.0f} microseconds of the relay's processor time a message")


def _once(services: Running, backlog: int) -> tuple[float, float]:
    """Messages a second, and microseconds of processor time for each."""
    for _ in flood.pour(backlog):
        pass
    with Connection(services.broker_url) as broker:
        broker.default_channel.queue_purge(flood.LANE)  # type: ignore[attr-defined]
        # All of it may go out at once: no consumer takes a share of the machine.
        with running.relay(services.folder, f"--window={2 * backlog}") as relay:
            first = until(lambda: message_count(broker, flood.LANE), what="the first messages")
            began, processor = time.monotonic(), usage.of_process(relay.popen.pid).processor
            while (message_count(broker, flood.LANE) or 0) < backlog:
                if time.monotonic() - began > GIVEN_UP_AFTER:
                    raise TimeoutError(relay.log)
                time.sleep(LOOK_EVERY)
            seconds = time.monotonic() - began
            processor = usage.of_process(relay.popen.pid).processor - processor
            until(lambda: not Outbox.objects.exists(), what="an empty outbox")
        broker.default_channel.queue_purge(flood.LANE)  # type: ignore[attr-defined]
    flood.drain()
    return (backlog - first) / seconds, processor / (backlog - first) * 1e6
