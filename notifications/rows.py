"""Writes very many deliveries at once: an object, and a statement's parameters, for each would be most of the cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from notifications.tables import Delivery, Notification


@dataclass(slots=True)
class Row:
    """What one delivery has of its own. ``context`` is JSON."""

    position: int
    repeat: int
    address: str
    address_key: str
    context: str
    language: str
    sealed: str
    task_id: str


_OWN = tuple(Row.__dataclass_fields__)
_own = attrgetter(*_OWN)
_COMMON = [field for field in Delivery._meta.concrete_fields if not field.primary_key and field.attname not in _OWN]
_COLUMNS = ", ".join(f'"{name}"' for name in (*(field.column for field in _COMMON), *_OWN))


def insert(notification: Notification, rows: Sequence[Row]) -> None:
    """Within the caller's transaction."""
    connection = connections[router.db_for_write(Delivery)]
    common = _common(notification, connection)
    values = ((*common, *_own(row)) for row in rows)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            command = f"COPY {Delivery._meta.db_table} ({_COLUMNS}) FROM STDIN"
            with connection.wrap_database_errors, cursor.copy(command) as copy:
                for row in values:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * (len(_COMMON) + len(_OWN)))
            command = f"INSERT INTO {Delivery._meta.db_table} ({_COLUMNS}) VALUES ({places})"  # noqa: S608
            cursor.executemany(command, list(values))


def _common(notification: Notification, connection: BaseDatabaseWrapper) -> list[Any]:
    """What is the same for all of them: what the notification says, and each other column's default."""
    said = {"notification_id": notification.pk, "channel": notification.channel, "created_at": timezone.now()}
    values = [
        field.get_db_prep_save(said.get(field.attname, field.get_default()), connection=connection) for field in _COMMON
    ]
    # A choice is a text that the driver would not take for one.
    return [str(value) if isinstance(value, str) else value for value in values]
