"""Alteration: what ``manage.py topology apply`` does, a step at a time. Each may be cut short, and is taken up again.

A queue that RabbitMQ cannot change is deleted and declared anew. What it holds of the ledger's is published again, on
the same evidence as after a loss (the queue is gone); what only RabbitMQ has is moved first. Workers let go of the
queue meanwhile, so that nothing is in their hands alone, and take it up again by themselves.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from kombu import Connection, Exchange, Queue

from routing import faults
from routing.broker import evidence, moving, topology
from routing.broker.comparison import Action, Step, difference
from routing.broker.names import logical, physical
from routing.domains import Registry
from routing.ledger import queues, redrive

LET_GO_WITHIN = 45.0
"""Seconds: a worker looks every few seconds, and then gives back what it holds."""
LOOK_EVERY = 0.1


class Busy(Exception):
    """A queue cannot be changed just now, and was not. The message tells the cure."""


class Alteration:
    def __init__(self, connection: Connection, registry: Registry, *, tell: Callable[[str], None]) -> None:
        self._connection = connection
        self._registry = registry
        self._tell = tell
        self._holder = str(uuid4())
        self._queues = {logical(queue.name): queue for queue in topology.queues(registry)}

    def begin(self) -> None:
        """Declare what is missing. Raises Undeclarable."""
        evidence.examine(self._connection, self._registry)
        topology.create(self._connection, self._registry, leaving=queues.held())
        queues.remember(self._queues)

    def take(self, step: Step) -> None:
        """Raises Busy, Unmovable and the connection's errors. Safe to call again."""
        if step.action is Action.ANEW and step.kind == "exchange":
            self._make_exchange_anew(next(one for one in topology.EXCHANGES if logical(one.name) == step.name))
        elif step.action is Action.ANEW:
            self._make_anew(self._queues[step.name])
        elif step.action is Action.REMOVE:
            self._remove(step)

    def end(self) -> None:
        """Every queue bound, also by an apply that was cut short in between."""
        for queue in self._queues.values():
            topology.bind(self._connection, queue)

    def _make_exchange_anew(self, exchange: Exchange) -> None:
        with self._connection.channel() as channel:
            channel.exchange_delete(exchange.name)  # type: ignore[attr-defined]
            faults.point("topology.exchange_deleted")
            exchange(channel).declare()
        for queue in self._queues.values():
            if queue.exchange == exchange:
                topology.bind(self._connection, queue)

    def _make_anew(self, queue: Queue) -> None:
        name = logical(queue.name)
        aside = name + topology.MOVING
        is_lane = name in self._registry.pools
        with self._held(name):
            if moving.exists(self._connection, name):
                if not difference(self._connection, queue):
                    # Another apply has done it while we waited.
                    return
                self._bind_aside(queue, aside)
                self._empty_and_delete(name, aside, moving.strangers if is_lane else moving.everything, held=name)
            if is_lane:
                # As after any loss: until the queue is declared, its absence is the evidence.
                redrive.after_loss([name])
            with self._connection.channel() as channel:
                queue(channel).queue_declare()
            faults.point("topology.declared")
            topology.bind(self._connection, queue)
            self._bring_back(aside, name)

    def _bring_back(self, aside: str, name: str) -> None:
        if moving.exists(self._connection, aside):
            self._unbind(self._as_bound(aside))
            self._empty_and_delete(aside, name, moving.everything, held=name)
        queues.forget(aside)

    def _bind_aside(self, queue: Queue, aside: str) -> None:
        """First the one, then not the other: what arrives in between is in both, and runs once."""
        queues.remember([aside])
        substitute = _substitute(queue, aside)
        with self._connection.channel() as channel:
            bound = substitute(channel)
            bound.queue_declare()
            bound.queue_bind()
        faults.point("topology.bound_aside")
        self._unbind(queue)

    def _remove(self, step: Step) -> None:
        name = step.name
        with self._held(name):
            if moving.exists(self._connection, name):
                self._unbind(self._as_bound(name))
                target = step.stray_target or logical(topology.UNROUTED_QUEUE.name)
                choose = moving.everything if name.endswith(topology.MOVING) else moving.strangers
                self._empty_and_delete(name, target, choose, held=name)
            self._tell_moved(name, queues.move(name, step.targets))
            faults.point("topology.moved")
        if name not in queues.in_flight():
            queues.forget(name)

    def _as_bound(self, name: str) -> Queue:
        original = self._queues.get(_base(name))
        if original is not None:
            return _substitute(original, name)
        exchange, key = topology.TASKS, name
        if name.endswith(".dead"):
            exchange, key = topology.DEAD, name.removesuffix(".dead")
        return Queue(physical(name), exchange=exchange, routing_key=key)

    def _unbind(self, queue: Queue) -> None:
        with self._connection.channel() as channel:
            queue(channel).unbind_from(queue.exchange, routing_key=queue.routing_key)

    def _empty_and_delete(self, source: str, target: str, choose: moving.Choice, *, held: str) -> None:
        moving.empty_and_delete(
            self._connection,
            source,
            target,
            choose=choose,
            still_mine=lambda kept: self._require_mine(held, source, kept),
        )

    def _tell_moved(self, name: str, count: int) -> None:
        if count:
            self._tell(f"{count:,} tasks of {name} wait elsewhere now.")

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """This queue to ourselves: no other apply, no worker."""
        deadline = time.monotonic() + queues.HELD_FOR + 5
        is_told = False
        while not queues.hold(name, self._holder):
            if time.monotonic() > deadline:
                raise Busy(f"Another apply works on {name}. Wait until it ends, and run this one again.")
            if not is_told:
                self._tell(f"Another apply works on {name}, or was killed there: waiting for up to half a minute.")
            is_told = True
            time.sleep(LOOK_EVERY)
        try:
            faults.point("topology.held")
            self._await_consumers(name)
            yield
        finally:
            queues.let_go(name, self._holder)

    def _await_consumers(self, name: str) -> None:
        deadline, is_told = time.monotonic() + LET_GO_WITHIN, False
        while (depth := topology.depth(self._connection, name)) and depth.consumers:
            if time.monotonic() > deadline:
                raise Busy(
                    f"{name} was left as it is: {depth.consumers} of its consumers did not let go of it within "
                    f"{LET_GO_WITHIN:.0f} s. They are hung, of a release before this one, or no workers of ours: stop "
                    "them, and apply again."
                )
            if not is_told:
                self._tell(f"Waiting until {depth.consumers} consumers of {name} let go of it.")
            is_told = True
            queues.hold(name, self._holder)
            time.sleep(LOOK_EVERY)

    def _require_mine(self, held: str, source: str, kept: int) -> None:
        if not queues.hold(held, self._holder):
            raise Busy(f"Another apply has taken {held} over, because this one stood still. Run it again.")
        depth = topology.depth(self._connection, source)
        if depth is not None and depth.consumers > kept:
            raise Busy(f"{source} is consumed from again. Run apply again.")


def _substitute(queue: Queue, name: str) -> Queue:
    """A plain durable queue that is bound as this one."""
    return Queue(
        physical(name),
        exchange=queue.exchange,
        routing_key=queue.routing_key,
        durable=True,
        queue_arguments=dict(topology.KEPT),
        no_declare=True,
    )


def _base(name: str) -> str:
    return name.removesuffix(topology.MOVING) if name.endswith(topology.MOVING) else ""
