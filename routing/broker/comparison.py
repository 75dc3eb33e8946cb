"""Comparison: where RabbitMQ differs from what the domains declare, and what apply would do about each difference."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from amqp.exceptions import AccessRefused, PreconditionFailed
from kombu import Connection, Exchange, Queue

from routing.broker import evidence, topology
from routing.broker.names import logical
from routing.domains import Domain, Registry
from routing.ledger import marker, queues

_DIFFERENCE = re.compile(r"inequivalent arg '(?P<name>[^']+)'.*: received (?P<wanted>.*) but current is (?P<found>.*)")
_VALUE = re.compile(r"(?:the value )?'(?P<value>.*?)'(?: of type '[^']*')?$")


class Action(Enum):
    DECLARE = "declare"
    ANEW = "make anew"
    REMOVE = "remove"
    KEEP = "keep"
    """It cannot be removed yet: ``why`` says what has to happen first."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One difference. ``why`` says what differs; ``how``, what becomes of what is in it."""

    action: Action
    kind: str
    name: str
    why: str
    how: str = ""
    targets: Mapping[str, str] = field(default_factory=dict)
    """By task name, the queue to which tasks in flight move."""
    stray_target: str = ""
    """The queue to which messages move that the ledger does not know."""


@dataclass(frozen=True)
class Comparison:
    steps: tuple[Step, ...]
    unknown: tuple[str, ...]
    """What this broker user may not compare, as it may not declare it."""


def compare(connection: Connection, registry: Registry, *, move_to: str | None = None) -> Comparison:
    """Declares nothing, and changes nothing. Raises the connection's errors."""
    unknown: list[str] = []
    counts = queues.in_flight()
    steps = [
        *_exchanges(connection, unknown),
        *_marker(connection),
        *_declared(connection, registry, counts, unknown),
        *_undeclared(connection, registry, counts, move_to),
    ]
    return Comparison(tuple(steps), tuple(unknown))


def difference(connection: Connection, what: Queue | Exchange) -> str:
    """How one that exists differs from what the code has; empty if it does not. Raises AccessRefused.

    RabbitMQ tells only whoever declares it. Were it deleted at this very moment, it would be declared.
    """
    with connection.channel() as channel:
        try:
            if isinstance(what, Queue):
                what(channel).queue_declare()
            else:
                what(channel).declare()
        except PreconditionFailed as error:
            return _in_words(str(error.reply_text))
    return ""


def _in_words(reply: str) -> str:
    found = _DIFFERENCE.search(reply)
    if found is None:
        return reply
    there, here = (_value(found[name]) for name in ("found", "wanted"))
    return f"its {found['name']} is {there} there and {here} in the code"


def _value(text: str) -> str:
    found = _VALUE.match(text)
    return found["value"] if found else text


def _exchanges(connection: Connection, unknown: list[str]) -> Iterator[Step]:
    for exchange in topology.EXCHANGES:
        name = logical(exchange.name)
        if not topology.exists(connection, exchange):
            yield Step(action=Action.DECLARE, kind="exchange", name=name, why="it is missing")
        elif words := _difference(connection, exchange, unknown):
            how = "programs that publish to it get an error for a moment; no message is lost"
            yield Step(action=Action.ANEW, kind="exchange", name=name, why=words, how=how)


def _difference(connection: Connection, what: Queue | Exchange, unknown: list[str]) -> str:
    try:
        return difference(connection, what)
    except AccessRefused:
        unknown.append(logical(what.name))
        return ""


def _marker(connection: Connection) -> Iterator[Step]:
    if not topology.message_count(connection, evidence.PREFIX + marker.current().name):
        yield Step(
            action=Action.DECLARE,
            kind="marker",
            name=evidence.MARKER,
            why="it is missing: this is a new broker, or one that has lost what it had",
            how="what RabbitMQ was given so far is published again",
        )


def _declared(
    connection: Connection, registry: Registry, counts: Mapping[str, int], unknown: list[str]
) -> Iterator[Step]:
    for queue in topology.queues(registry):
        name, lane = logical(queue.name), logical(queue.name) in registry.pools
        tasks = _tasks(counts.get(name, 0))
        if topology.depth(connection, name) is None:
            how = f"{tasks} in flight: what RabbitMQ had of them is published again" if counts.get(name) else ""
            yield Step(action=Action.DECLARE, kind="queue", name=name, why="it is missing", how=how)
        elif words := _difference(connection, queue, unknown):
            kept = f"other messages wait in {name}{topology.MOVING} meanwhile"
            how = f"{tasks} in flight: what RabbitMQ has of them is published again; {kept}" if lane else kept
            yield Step(action=Action.ANEW, kind="queue", name=name, why=words, how=how)


def _undeclared(
    connection: Connection, registry: Registry, counts: Mapping[str, int], move_to: str | None
) -> Iterator[Step]:
    declared = {logical(queue.name) for queue in topology.queues(registry)}
    kept: set[str] = set()
    # Lanes before the dead-letter queues that they dead-letter into.
    for name in sorted({*queues.known(), *counts} - declared, key=lambda name: (name.endswith(".dead"), name)):
        depth = topology.depth(connection, name)
        if depth is None and name not in counts:
            continue
        if name.endswith(".dead"):
            yield _dead_letters(name, depth.ready if depth else 0, is_needed=name.removesuffix(".dead") in kept)
        else:
            step = _lane(name, registry, depth, counts.get(name, 0), move_to)
            if step.action is Action.KEEP:
                kept.add(name.partition(".")[0])
            yield step


def _dead_letters(name: str, ready: int, *, is_needed: bool) -> Step:
    why = "no domain declares it"
    if is_needed:
        return Step(action=Action.KEEP, kind="queue", name=name, why=why, how="a queue that stays dead-letters into it")
    if not ready:
        return Step(action=Action.REMOVE, kind="queue", name=name, why=why, how="it is empty")
    how = f"{ready:,} dead letters wait there for somebody; take them out, and apply again"
    return Step(action=Action.KEEP, kind="queue", name=name, why=why, how=how)


def _lane(name: str, registry: Registry, depth: topology.QueueDepth | None, tasks: int, move_to: str | None) -> Step:
    why = "no domain declares it"
    base = name.removesuffix(topology.MOVING)
    if base != name and base in [logical(queue.name) for queue in topology.queues(registry)]:
        how = f"{depth.ready if depth else 0:,} messages go back to {base}"
        return Step(
            action=Action.REMOVE, kind="queue", name=name, why="an apply was interrupted", how=how, stray_target=base
        )
    targets, homeless = _targets(name, registry, move_to)
    stray_target = move_to or _default_queue(name, registry) or next(iter(targets.values()), "")
    if homeless or (depth and depth.ready and not stray_target):
        whose = f"no domain claims {', '.join(homeless)}" if homeless else "no domain says what takes its messages"
        held = f"{_tasks(tasks)} in flight" if tasks else f"{depth.ready if depth else 0:,} messages"
        how = f"it has {held}, and {whose}; name a queue with --move-to QUEUE, or put the domain back"
        return Step(action=Action.KEEP, kind="queue", name=name, why=why, how=how)
    goals = ", ".join(sorted({*targets.values(), stray_target} - {""}))
    how = f"{_tasks(tasks)} in flight" + (f", which move to {goals}" if tasks else "")
    return Step(
        action=Action.REMOVE, kind="queue", name=name, why=why, how=how, targets=targets, stray_target=stray_target
    )


def _targets(name: str, registry: Registry, move_to: str | None) -> tuple[dict[str, str], list[str]]:
    """By task name, where it goes; and those that have nowhere to go."""
    own = move_to or _default_queue(name, registry)
    targets, homeless = {}, []
    for task in queues.task_names(name):
        claimant = registry.of_task(task)
        target = own or (claimant.queue() if claimant else "")
        if target:
            targets[task] = target
        else:
            homeless.append(task)
    return targets, homeless


def _default_queue(name: str, registry: Iterable[Domain]) -> str:
    """Of the domain that the lane belonged to, while there is one."""
    own = name.partition(".")[0]
    return next((domain.queue() for domain in registry if domain.name == own), "")


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"
