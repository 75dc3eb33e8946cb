"""What an operator may do about a gate: have a host tried at once, and give a line the pace of today's limit."""

from notifications.lanes import domain
from notifications.pacing import circuit, gate_rows, limits, words
from notifications.pacing.tables import Line
from routing.ledger import database
from routing.ledger.sooner import bring_forward


def try_now(gate: str) -> bool:
    """Have one of those that wait try the host, or whoever comes first. False where the circuit is closed."""
    if not circuit.probe_now(gate):
        return False
    bring_forward(list(domain().queues), error=words.down(gate), most=1)
    return True


def space_anew(gate: str) -> int:
    """Those that wait in the lines of a limit come back at its pace from now on, and how many these are.

    Needed where a limit was raised: each has been told its time by the old one.
    """
    limit = limits.all_of_them().get(gate)
    every = limit.every if limit else circuit.RETURN_EVERY
    count = bring_forward(list(domain().queues), error=words.limited(gate), every=every)
    end = gate_rows.now() + count * every
    Line.objects.using(database.using()).filter(gate=gate, end_at__gt=end).update(end_at=end)
    return count
