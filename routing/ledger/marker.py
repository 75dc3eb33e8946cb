"""The broker's marker: what proves that RabbitMQ still has what it confirmed, and the count of its losses.

The marker's name lives here, its message in RabbitMQ (routing/broker/evidence.py). The count is a fence: a batch that
was confirmed before a loss was recorded does not commit after it.
"""

from dataclasses import dataclass
from uuid import uuid4

from routing.ledger import database, functions


class Overtaken(Exception):
    """RabbitMQ was found to have lost messages while a batch was published; the batch goes out again."""


@dataclass(frozen=True, slots=True)
class Marker:
    name: str
    losses: int


def current() -> Marker:
    """The marker of this ledger, made if there is none yet."""
    sql = "SELECT marker AS name, losses FROM routing_brokermarker WHERE id = 1"
    found = database.rows(sql)
    if not found:
        _insert(losses=0)
        found = database.rows(sql)
    return Marker(**found[0])


def renew() -> None:
    """Go by another name from now on."""
    database.execute("UPDATE routing_brokermarker SET marker = %s WHERE id = 1", [str(uuid4())])


def hold(losses: int) -> None:
    """Keep losses from being recorded until this transaction ends. Raises Overtaken if one was, since ``losses``."""
    sql = "SELECT losses FROM routing_brokermarker WHERE id = 1"
    if database.on_postgresql():
        found = functions.ask(f"{sql} FOR SHARE")
    else:
        found = next((row["losses"] for row in database.rows(sql)), None)
    if found != losses:
        raise Overtaken


def record_loss() -> None:
    """Count a loss. Waits for batches that are about to commit; those that began before it will not commit after it."""
    sql = f"UPDATE routing_brokermarker SET losses = losses + 1, lost_at = {database.now_sql()} WHERE id = 1"
    if not database.execute(sql):
        _insert(losses=1)


def _insert(*, losses: int) -> None:
    database.execute(
        "INSERT INTO routing_brokermarker (id, marker, losses) VALUES (1, %s, %s) "
        "ON CONFLICT (id) DO UPDATE SET losses = routing_brokermarker.losses + excluded.losses",
        [str(uuid4()), losses],
    )
