"""Whether a delivery may go now, by the limits and by whether its host answers. If not, it is told when to come back.

Where no limit is declared and the host answers, that costs no statement but one look a second.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from notifications.pacing import bucket, circuit, gate_rows, limits, line, words
from notifications.pacing.gate_rows import Seen
from notifications.pacing.limits import Limit
from notifications.tables import Delivery
from routing.errors import NotYet
from routing.ledger.patience import until_reachable


def pass_through(delivery: Delivery, *, host: str) -> None:
    """Raises NotYet where it is not its turn. A process that dies in it takes at most one token of each limit along."""
    circuit.begin()
    gate, kept = limits.host_gate(delivery.channel, host), limits.of(delivery.channel, host)
    if not kept and circuit.is_known_well(gate):
        return
    lane = delivery.notification.lane
    seconds = until_reachable(lambda: _passed(gate, kept, lane=lane))
    if seconds:
        time.sleep(seconds)


def record(delivery: Delivery, *, host: str, error: str = "") -> None:
    """How the host answered; ``error`` where it did not."""
    gate = limits.host_gate(delivery.channel, host)
    if error:
        circuit.failed(gate, error)
    else:
        circuit.succeeded(gate)


def _passed(gate: str, kept: Sequence[Limit], *, lane: str) -> float:
    """Seconds to wait in place."""
    found = _look(gate, kept)
    host = found.get(gate, Seen(gate))
    circuit.saw(host)
    if seconds := circuit.waits(host):
        raise _until_tried(host, kept, lane=lane, seconds=seconds)
    in_place = _taken(kept, found, lane=lane) if kept else 0.0
    # Last, so that nobody has the one try in hand who cannot go.
    if host.is_open and not circuit.probe(host):
        raise _until_tried(host, kept, lane=lane, seconds=circuit.WHILE_PROBING)
    return in_place


def _look(gate: str, kept: Sequence[Limit]) -> dict[str, Seen]:
    wanted = {gate, *(limit.name for limit in kept)}
    found = gate_rows.look(sorted(wanted))
    missing = [limit.name for limit in kept if limit.name not in found]
    if missing:
        gate_rows.ensure(missing)
        found |= {name: Seen(name) for name in missing}
    return found


def _taken(kept: Sequence[Limit], found: dict[str, Seen], *, lane: str) -> float:
    waits = {limit: bucket.opens_in(limit, found[limit.name].ahead, lane=lane) for limit in kept}
    in_place = None if any(waits.values()) else bucket.take(kept, lane=lane)
    if in_place is not None:
        return in_place
    # Of those that are closed, the slowest; of none, where somebody was faster.
    closed = [limit for limit in kept if waits[limit]] or kept
    limit = max(closed, key=lambda one: one.every)
    seconds = line.join(limit.name, lane=lane, every=limit.pace, opens_in=waits[limit])
    raise _not_yet(f"{words.limited(limit.name)}{limit}. Its turn is at", max(seconds, bucket.IN_PLACE))


def _until_tried(host: Seen, kept: Sequence[Limit], *, lane: str, seconds: float) -> NotYet:
    every = max([circuit.RETURN_EVERY, *(limit.every for limit in kept)])
    turn = line.join(host.name, lane=lane, every=every, opens_in=seconds)
    return _not_yet(f"{words.down(host.name)}{host.error.rstrip('.')}. It is tried again at", turn)


def _not_yet(why: str, seconds: float) -> NotYet:
    after = timedelta(seconds=seconds)
    now = timezone.localtime()
    at = now + after
    return NotYet(f"{why} {at:{'%H:%M:%S' if at.date() == now.date() else '%Y-%m-%d %H:%M:%S'}}.", after=after)
