"""Each metric: its name, what it tells, and where it is read. docs/operations.md lists them."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from routing import watching
from routing.broker.topology import UNROUTED_QUEUE
from routing.console import survey
from routing.console.lives import Lives
from routing.console.readings import Reading
from routing.console.schedule_life import ScheduleLife
from routing.console.survey import Survey
from routing.domains import registry
from routing.ledger import figures
from routing.ledger.figures import Figures, Line
from routing.ledger.loads import Load
from routing.ledger.tables import Process
from routing.ledger.tally import Books
from routing.schedule import figures as schedule_figures

logger = logging.getLogger(__name__)

Family = GaugeMetricFamily | CounterMetricFamily
Labels = tuple[str, ...]
L = TypeVar("L", bound=Labels)

PATIENCE = 2.0
"""Seconds for the ledger's figures, beside as many for the survey."""


def collect() -> Iterator[Family]:
    seen = survey.take()
    yield _gauge(
        "up",
        "Whether the service answered (1) or not (0).",
        {("database",): not seen.database.error, ("broker",): not seen.broker.error},
        "service",
    )
    if not seen.broker.error:
        yield from _broker(seen)
    if not seen.database.error:
        yield from _lives(seen.lives)
        yield from _schedule(seen.lives.schedule)
        yield from _ledger()


def _broker(seen: Survey) -> Iterator[Family]:
    names = [*registry().pools, *(domain.dead_letter_queue for domain in registry()), UNROUTED_QUEUE.name]
    depths = {(name,): depth for name in names if (depth := seen.queues.get(name))}
    ready = {name: depth.ready for name, depth in depths.items()}
    consumers = {name: depth.consumers for name, depth in depths.items() if name[0] in registry().pools}
    yield _gauge("broker_ready", "Messages ready in RabbitMQ.", ready, "queue")
    yield _gauge("broker_consumers", "Consumers of the queue; 0: no worker serves it.", consumers, "queue")


def _lives(seen: Lives) -> Iterator[Family]:
    roles = {Process.Role.BEAT: seen.beats, Process.Role.RELAY: seen.relays, Process.Role.WORKER: seen.workers}
    alive = {(str(role),): sum(not life.late for life in lives) for role, lives in roles.items()}
    yield _gauge("processes", "Processes that beat lately.", alive, "role")
    paused = {(name,): name in seen.paused for name in registry().pools}
    yield _gauge("queue_paused", "1: somebody holds the queue still.", paused, "queue")


def _schedule(life: ScheduleLife) -> Iterator[Family]:
    entries = schedule_figures.figures(life.plans, life.lately)
    told: dict[str, tuple[str, dict[Labels, float | None]]] = {
        "overdue_seconds": (
            "For how long it has been due and no beat has come to it; 0 for the first minute.",
            {(one.entry,): one.overdue_seconds for one in entries},
        ),
        "missed": (
            "Due times of three days that were missed and nobody has made up for.",
            {(one.entry,): one.missed for one in entries},
        ),
        "late": (
            "Due times of a day that were fired more than a minute late.",
            {(one.entry,): one.late for one in entries},
        ),
        "last_late_seconds": (
            "By how much the last of those was late.",
            {(one.entry,): one.last_late_seconds for one in entries},
        ),
        "paused": ("1: somebody holds the entry still.", {(one.entry,): one.is_paused for one in entries}),
        "broken": ("1: the entry cannot be run.", {(one.entry,): one.is_broken for one in entries}),
        "next_due_timestamp_seconds": (
            "When it is due next, in seconds since 1970.",
            {(one.entry,): one.next_due_at for one in entries},
        ),
    }
    for name, (text, values) in told.items():
        yield _gauge(f"schedule_{name}", text, values, "entry")


def _ledger() -> Iterator[Family]:
    try:
        known = LEDGER.latest(seconds=PATIENCE)
    except (DatabaseError, InterfaceError) as error:
        # It has just gone; the next scrape tells so.
        logger.warning("The ledger's figures cannot be read: %s", error)
        return
    if known is None:
        return
    ledger, fired, others = known.value
    yield _gauge("ledger_age_seconds", "How old the figures below are.", {(): LEDGER.age(known)})
    yield _gauge(
        "schedule_last_fired_timestamp_seconds",
        "When it was last fired, in seconds since 1970.",
        {(entry,): moment.timestamp() for entry, moment in fired.items()},
        "entry",
    )
    yield from _queues(ledger)
    yield from _books(ledger)
    yield from others


def _queues(ledger: Figures) -> Iterator[Family]:
    lines = {name: ledger.queues.get(name, Line(Load())) for name in [*registry().pools, *ledger.queues]}
    states: dict[Labels, float] = {}
    for name, line in lines.items():
        states[name, "waiting"], states[name, "out"] = line.load.waiting, line.load.out
        states[name, "running"] = line.load.running
    yield _gauge(
        "tasks_in_flight",
        "Tasks without an outcome: waiting in the ledger, out in RabbitMQ or held by a worker, and running.",
        states,
        "queue",
        "state",
    )
    yield _gauge(
        "oldest_wait_seconds",
        "How long the longest-waiting of its tasks that are due has not begun.",
        {(name,): line.wait for name, line in lines.items()},
        "queue",
    )
    yield _gauge(
        "outbox_lag_seconds",
        "How long the earliest publication has been due, which no relay has made.",
        {(name,): line.lag for name, line in lines.items()},
        "queue",
    )


def _books(ledger: Figures) -> Iterator[Family]:
    domains = list(dict.fromkeys([*(domain.name for domain in registry()), *ledger.books, *ledger.in_flight]))
    books = {name: ledger.books.get(name, Books()) for name in domains}
    for verb, text in (
        ("accepted", "Tasks that were promised."),
        ("finished", "Tasks that came to an outcome."),
        ("pruned", "Results that a clean-up removed."),
    ):
        counts: dict[Labels, float] = {(name,): getattr(one, verb) for name, one in books.items()}
        yield _filled(CounterMetricFamily(f"taskyard_tasks_{verb}", text, labels=["domain"]), counts)
    yield _gauge(
        "books_difference",
        "Tasks that were accepted, have not finished and are not in flight; not 0: the books do not balance.",
        {(name,): ledger.difference(name) for name in domains},
        "domain",
    )
    letters = {(name,): ledger.dead_letters.get(name, 0) for name in [*domains, *ledger.dead_letters]}
    yield _gauge("dead_letters_open", "Dead letters that nobody has decided.", letters, "domain")


def _gauge(name: str, text: str, values: Mapping[L, float | None], *labels: str) -> Family:
    return _filled(GaugeMetricFamily(f"taskyard_{name}", text, labels=labels), values)


def _filled(family: Any, values: Mapping[L, float | None]) -> Family:
    known: Iterable[tuple[L, float]] = ((key, value) for key, value in values.items() if value is not None)
    for key, value in known:
        family.add_metric(key, value)
    found: Family = family
    return found


def _read() -> tuple[Figures, Mapping[str, datetime], list[Any]]:
    return figures.read(), schedule_figures.last_fired(), watching.metrics()


LEDGER = Reading(_read, name="ask-ledger")
