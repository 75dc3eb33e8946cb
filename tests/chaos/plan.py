"""Who is attacked, how, and when: all of it decided by the seed, whatever happens meanwhile."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CALLERS = ("caller-1", "caller-2")
RELAYS = ("relay-1", "relay-2")
WIRE = "wire"


@dataclass(frozen=True)
class Target:
    """What is attacked time and again, by one thread: ``deck`` has its kinds of attack, the likelier the more often.

    ``pause`` is the mean of the seconds between two of them, counted from when the target works again.
    """

    name: str
    pause: float
    deck: tuple[str, ...]
    family: str = ""
    start: int = 0
    """Targets of one family have their decks shuffled alike, and begin at different places: soon all has happened."""


@dataclass(frozen=True)
class Decision:
    """An attack. ``victim``, ``length`` and ``absence`` are in [0, 1): which child, how long frozen, how long away."""

    pause: float
    kind: str
    victim: float
    length: float
    absence: float


WORKER = (*["worker-kill"] * 3, *["worker-stop"] * 2, *["worker-freeze"] * 2, "worker-freeze-long", "main-freeze-long")
RELAY = (*["relay-kill"] * 3, "relay-stop", "relay-freeze", "relay-freeze-long")
BROKER = (*["broker-kill"] * 4, *["broker-freeze"] * 2, "broker-freeze-long", "broker-wipe")
CLUSTER = (*["broker-kill"] * 3, *["broker-freeze"] * 2, "broker-freeze-long", "majority-kill", "broker-wipe")
"""It takes longer until a cluster works again: a deck is what 300 seconds have room for."""
DATABASE = {
    "postgresql": (*["database-kill"] * 2, *["database-stop"] * 2, *["database-cut"] * 3),
    "sqlite": ("database-lock",),
}
WAY = (*["answer-loss"] * 4, "database-freeze", "database-freeze-long")

ONE_IN = {
    "child-kill": 5,
    "window-kill": 20,
    "worker-kill": 40,
    "worker-stop": 90,
    "worker-freeze": 90,
    "worker-freeze-long": 120,
    "main-freeze-long": 120,
    "relay-kill": 40,
    "relay-stop": 120,
    "relay-freeze": 120,
    "relay-freeze-long": 120,
    "beat-kill": 100,
    "web-kill": 100,
    "caller-kill": 100,
    "broker-kill": 100,
    "broker-freeze": 200,
    "broker-freeze-long": 300,
    "broker-wipe": 300,
    "majority-kill": 300,
    "database-kill": 120,
    "database-stop": 120,
    "database-cut": 100,
    "database-lock": 60,
    "answer-loss": 40,
    "database-freeze": 150,
    "database-freeze-long": 200,
}
"""The fewest attacks of each kind: one in so many seconds. With fewer, a run proves less than it says, and fails."""
BY_THEMSELVES = frozenset({"window-kill"})
"""Deaths that no thread of the killer deals out: windows.py does."""


def programs(pools: Sequence[str]) -> list[Target]:
    return [
        Target("children", 2.0, ("child-kill",)),
        *(Target(pool, 30.0, WORKER, "worker", 2 * number) for number, pool in enumerate(pools)),
        *(Target(relay, 16.0, RELAY, "relay", 3 * number) for number, relay in enumerate(RELAYS)),
    ]


def everything(pools: Sequence[str], *, nodes: int, database: str) -> list[Target]:
    return [
        *programs(pools),
        *(Target(caller, 45.0, ("caller-kill",)) for caller in CALLERS),
        Target("beat", 30.0, ("beat-kill",)),
        Target("web", 30.0, ("web-kill",)),
        Target("broker", 15.0, BROKER) if nodes == 1 else Target("broker", 10.0, CLUSTER),
        Target("database", 16.0, DATABASE[database]),
        *([Target(WIRE, 8.0, WAY)] if database == "postgresql" else []),
    ]


def decisions(seed: int, target: Target) -> Iterator[Decision]:
    """Without end. The deck is dealt to its end before it is shuffled again, so that each kind has its turn."""
    chance = random.Random(f"{seed}/{target.name}")  # noqa: S311
    shuffling = random.Random(f"{seed}/{target.family or target.name}/deck")  # noqa: S311
    while True:
        deck = list(target.deck)
        shuffling.shuffle(deck)
        for kind in [*deck[target.start :], *deck[: target.start]]:
            pause = target.pause * chance.uniform(0.4, 1.6)
            yield Decision(pause, kind, chance.random(), chance.random(), chance.random())


def least(kind: str, seconds: int) -> int:
    return seconds // ONE_IN[kind]
