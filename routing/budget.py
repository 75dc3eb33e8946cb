"""Budget: how many connections to the database the declared processes may open together, and whether it has so many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import DatabaseError, InterfaceError

from routing.domains import registry
from routing.ledger import database, pooler

WORKER_MAIN = 3
"""A worker's main process: its event loop, its heart and its settlement thread."""
RELAY = 4
"""Two hands, the keeper, and the ear that waits for notifications."""
RELAY_HANDS = 2
BEAT = 2
WEB_THREADS, WEB_MAIN = 8, 2
"""Of each web process; the latter for itself and its probe."""
ALERTS = 2
"""Of each relay and beat, where somebody is told what is wrong: for its looks and what it finds."""
BY_HAND = 5
"""For manage.py and psql."""
OTHERS = ("relay", "beat", "web")
HINT = 'docs/operations.md, "Connections to the database", has the sum.'


@dataclass(frozen=True)
class Share:
    """What all processes of one kind may open, and how many of these may be in a transaction for long."""

    name: str
    processes: int
    connections: int
    transactions: int = 0


def shares() -> list[Share]:
    replicas = settings.TASKYARD_REPLICAS
    web = settings.WEB_CONCURRENCY * (WEB_THREADS + WEB_MAIN)
    alerts = ALERTS if settings.TASKYARD_ALERTS_EMAIL or settings.TASKYARD_ALERTS_WEBHOOK else 0
    others = [("relay", RELAY + alerts, RELAY_HANDS), ("beat", BEAT + alerts, 0), ("web", web, 0)]
    pools = [(pool.name, pool.concurrency + WORKER_MAIN, pool.concurrency) for pool in registry().pools.values()]
    return [
        Share(name, count, count * connections, count * transactions)
        for name, connections, transactions in [*pools, *others]
        if (count := replicas.get(name, 1))
    ]


def needed() -> int:
    return sum(share.connections for share in shares()) + BY_HAND


@register(Tags.database)
def check_connections(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """``manage.py check --database default``; ``migrate`` asks it, too."""
    if database.using() not in (databases or ()) or not database.on_postgresql():
        return []
    return [*_replicas(), *_connections()]


def _replicas() -> Iterator[CheckMessage]:
    known = [*registry().pools, *OTHERS]
    for name in settings.TASKYARD_REPLICAS:
        if name not in known:
            yield Error(
                f"TASKYARD_REPLICAS counts {name!r}, which is no process of this project.",
                hint=f"Use some of {', '.join(known)}.",
                id="routing.E030",
            )


def _connections() -> Iterator[CheckMessage]:
    try:
        room = _room()
        if not pooler.stands_between(database.connection()):
            yield from _too_many(room, "the server has room for", "Raise max_connections of PostgreSQL")
        else:
            yield from _behind_a_pooler(room)
    except (DatabaseError, InterfaceError) as error:
        yield Info(f"The connections to the database were not counted: {error}".strip(), id="routing.I030")


def _behind_a_pooler(room: int) -> Iterator[CheckMessage]:
    if not settings.TASKYARD_DATABASE_IS_POOLED:
        yield CheckWarning(
            "DATABASE_URL leads to a pooler such as PgBouncer: no notification arrives through it, so relays look for "
            "work every 0.1 s, and Django's server-side cursors may break.",
            hint="Name the server itself in DATABASE_DIRECT_URL: each relay then listens there, on one connection.",
            id="routing.W031",
        )
    figures = pooler.figures(database.connection())
    if figures is None:
        yield Info(
            f"The declared processes may open {needed()} connections to the pooler, which does not tell its limits.",
            hint=f"See that max_client_conn is as high, or add this user to PgBouncer's stats_users. {HINT}",
            id="routing.I031",
        )
        return
    if figures.mode == "statement":
        yield Error(
            "PgBouncer's pool_mode is statement, which allows no transactions.",
            hint="Use pool_mode = transaction.",
            id="routing.E031",
        )
    yield from _too_many(figures.clients, "PgBouncer lets in", "Raise its max_client_conn")
    at_once = sum(share.transactions for share in shares())
    if figures.sessions < at_once:
        yield CheckWarning(
            f"{at_once} processes may be in a transaction at once, as atomic tasks are for as long as they run, but "
            f"PgBouncer's pool has {figures.sessions} connections to the server.",
            hint="Raise its default_pool_size, or lower concurrency in project/domains.py. "
            f"The server has room for {room}. {HINT}",
            id="routing.W032",
        )


def _too_many(room: int, has: str, cure: str) -> Iterator[CheckMessage]:
    if needed() > room:
        largest = sorted(shares(), key=lambda share: -share.connections)[:3]
        most = ", ".join(f"{share.connections} of {share.name}" for share in largest)
        yield CheckWarning(
            f"The declared processes may open {needed()} connections to the database ({most}, …), but {has} {room}.",
            hint=f"{cure}, put PgBouncer before it, or lower concurrency in project/domains.py or TASKYARD_REPLICAS. "
            f"{HINT}",
            id="routing.W030",
        )


def _room() -> int:
    """The least of what the server, this database and this user allow."""
    (row,) = database.rows(
        """
        SELECT (
            SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END) FROM pg_settings
            WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
        ) AS server,
        (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database,
        (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS of_user
        """
    )
    return min(int(limit) for limit in row.values() if limit is not None and limit >= 0)
