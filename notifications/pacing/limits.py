"""The limits that NOTIFICATIONS_LIMITS declares, for a channel or for one host behind it."""

from dataclasses import dataclass

from django.conf import settings

_UNITS = {"s": 1, "m": 60, "h": 3600}

BURST = 0.25
"""Seconds' worth that may go at once: deliveries come back to their turn a little late, and none of it is lost."""
LATENESS = 1.0
"""Seconds, but no more than an interval: by so much may one of a slow limit be late, and the next still be in time."""
HEAD_START = 0.1
"""Seconds' worth, and at least one delivery, that a lane in haste may go ahead of the next."""
_HEAD_STARTS = {"bulk": 0, "urgent": 2}
"""Any other lane has one."""


@dataclass(frozen=True)
class Limit:
    """So many deliveries in a second, minute or hour, by all workers together, through the gate of this name."""

    name: str
    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"

    @property
    def every(self) -> float:
        """Seconds between two deliveries at an even pace."""
        return _UNITS[self.unit] / self.count

    @property
    def pace(self) -> float:
        """Seconds between two places in a line: a little less, so that those that come late leave no token untaken."""
        return max(self.every * 0.97, self.every - 0.015)

    def early(self, lane: str) -> float:
        """Seconds that one of this lane may come before its time at an even pace.

        The hastier always finds something left that the patient did not get: so a flood of theirs leaves it alone.
        """
        late = max(BURST - self.every, min(self.every, LATENESS))
        return late + _HEAD_STARTS.get(lane, 1) * max(HEAD_START, self.every)


def of(channel: str, host: str) -> list[Limit]:
    """Those that a delivery by way of this host has to keep."""
    declared = all_of_them()
    if not declared:
        return []
    return [declared[name] for name in (channel.casefold(), host_gate(channel, host).casefold()) if name in declared]


def all_of_them() -> dict[str, Limit]:
    return {name: Limit(name, count, unit) for name, (count, unit) in settings.NOTIFICATIONS_LIMITS.items()}


def host_gate(channel: str, host: str) -> str:
    return f"{channel}:{host}".casefold()
