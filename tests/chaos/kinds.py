"""The kinds of calls in a chaos run, and what may become of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from celery import states

SUCCEEDS = frozenset({states.SUCCESS})
FAILS = frozenset({states.FAILURE})
ATOMIC = frozenset({"reporting.chaos_effect", "reporting.chaos_effect_retry", "notifications.chaos_lock"})
"""Tasks that leave one effect if they succeed, and none otherwise."""
FREE = frozenset({"maintenance.chaos_fired", "notifications.send_email"})
"""Tasks that beat and the web enqueue: nobody has journalled all of them."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    weight: int
    """How many there are in a hundred calls, more or less."""
    may: frozenset[str] = SUCCEEDS
    """What its tasks may come to, besides FAILURE as poison."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """The reason that an outcome must have."""
    at_most_once: bool = False
    has_value: bool = True
    """Whether it is known what it returns where it succeeds."""
    children: Mapping[str, int] | None = None
    """How many tasks name its final one as their parent, by its outcome; None where they are not counted."""


KINDS = {
    "plain": Kind(weight=20),
    "bare": Kind(weight=6),
    "many": Kind(weight=2),
    "countdown": Kind(weight=8),
    "group": Kind(weight=4),
    "chain": Kind(weight=8),
    "chord": Kind(weight=6),
    "chain_with_chord": Kind(weight=3),
    "links": Kind(weight=5, children={states.SUCCESS: 2}),
    "atomic": Kind(weight=14, children={states.SUCCESS: 2}),
    "atomic_retry": Kind(weight=3, children={states.SUCCESS: 1}),
    "atomic_chord": Kind(weight=3),
    "deadlock": Kind(weight=1, children={states.SUCCESS: 1}),
    "retry": Kind(weight=5),
    "once": Kind(weight=8, may=SUCCEEDS | FAILS, reasons={states.FAILURE: "crashed"}, at_most_once=True),
    "unique": Kind(weight=6),
    "failing": Kind(weight=3, may=FAILS, children={states.FAILURE: 1}),
    "ignored": Kind(weight=2, may=frozenset({states.IGNORED})),
    "overrun": Kind(weight=1, may=FAILS, children={states.FAILURE: 1}),
    "replaced": Kind(weight=2, children={states.SUCCESS: 1}),
    "count_down": Kind(weight=2),
    "expiring": Kind(weight=3, may=SUCCEEDS | {states.REVOKED}, reasons={states.REVOKED: "expired"}),
    "revoked": Kind(weight=2, may=SUCCEEDS | {states.REVOKED}, reasons={states.REVOKED: "revoked"}),
    "mail": Kind(weight=0, has_value=False),
    "long": Kind(weight=0),
    "released": Kind(weight=0),
}

DEPLOYED = {
    "plain": 55,
    "countdown": 5,
    "chain": 5,
    "chord": 3,
    "links": 3,
    "atomic": 10,
    "retry": 4,
    "once": 3,
    "failing": 2,
    "released": 5,
    "long": 10,
}
"""The weights in a run of deploys. None here has a reason of its own to run its body twice."""
