"""Everything that the tests' database holds, as text: where a secret would be found."""

from django.db import connection

CARD = "4111-marker-1111"
PIN = 271828182


def stored() -> str:
    """Each row of each table."""
    parts: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            parts += [" ".join(_text(value) for value in row) for row in cursor.fetchall()]
    return "\n".join(parts)


def _text(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode(errors="replace")
    return str(value)


def assert_is_nowhere(*others: str) -> None:
    for text in (stored(), *others):
        assert CARD not in text
        assert str(PIN) not in text
