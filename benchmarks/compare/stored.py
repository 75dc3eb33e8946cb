"""What a round left in the result table, read straight from PostgreSQL."""

from typing import Any

import psycopg

LEDGER = "routing_message, routing_outbox, routing_tally, routing_deadletter"


class NotVerified(AssertionError):
    """Some task has no row, or its row does not tell what it should."""


class Stored:
    """The result table of one database."""

    def __init__(self, url: str, *, has_ledger: bool) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._has_ledger = has_ledger

    def close(self) -> None:
        self._connection.close()

    def clear(self) -> None:
        """Each measurement begins with empty tables."""
        self._execute(f"TRUNCATE django_celery_results_taskresult{', ' + LEDGER if self._has_ledger else ''}")

    def count(self) -> int:
        (count,) = self._execute("SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'")
        return int(count)

    def outbox_is_empty(self) -> bool:
        (waits,) = self._execute("SELECT EXISTS (SELECT 1 FROM routing_outbox)")
        return not waits

    def is_quiet(self) -> bool:
        """Whether nothing is in flight any more."""
        (waits,) = self._execute("SELECT EXISTS (SELECT 1 FROM routing_message)")
        return not waits

    def share_waiting(self) -> float:
        """Of all tasks in flight, how many have a time that has not come."""
        (share,) = self._execute(
            "SELECT (SELECT count(*) FROM routing_outbox WHERE due_at > clock_timestamp())::float8 "
            "/ greatest((SELECT count(*) FROM routing_message), 1)"
        )
        return float(share)

    def wal(self) -> int:
        """Bytes of the write-ahead log so far, of the whole server."""
        (position,) = self._execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return int(position)

    def verify(self, task: str, count: int) -> None:
        """Raises NotVerified unless there are ``count`` successes that tell task, arguments, worker and times."""
        found = self._execute(
            """
            SELECT count(*), count(*) FILTER (WHERE status = 'SUCCESS' AND task_name = %s AND worker <> ''
                AND date_created IS NOT NULL AND date_started IS NOT NULL AND date_done >= date_started),
                count(DISTINCT task_args), count(DISTINCT task_id)
            FROM django_celery_results_taskresult
            """,
            task,
        )
        if set(found) != {count}:
            raise NotVerified(f"{count} calls of {task}, but rows, complete ones, arguments and ids are {found}")
        if self._has_ledger:
            self._verify_ledger(count)

    def _verify_ledger(self, count: int) -> None:
        left, accepted, finished, dead = self._execute(
            "SELECT (SELECT count(*) FROM routing_message), (SELECT sum(accepted) FROM routing_tally), "
            "(SELECT sum(finished) FROM routing_tally), (SELECT count(*) FROM routing_deadletter)"
        )
        if (left, accepted, finished, dead) != (0, count, count, 0):
            raise NotVerified(f"Of {count}: {left} in flight, {accepted} accepted, {finished} finished, {dead} dead")

    def tasks_per_second(self) -> float:
        """From the first outcome to the last."""
        seconds, count = self._execute(
            "SELECT extract(epoch FROM max(date_done) - min(date_done)), count(*) FROM django_celery_results_taskresult"
        )
        return float((count - 1) / seconds)

    def latencies(self) -> list[float]:
        """What the measuring tasks returned, in seconds."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT result::float8 FROM django_celery_results_taskresult ORDER BY 1")
            return [row[0] for row in cursor.fetchall()]

    def _execute(self, sql: str, *values: Any) -> tuple[Any, ...]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return (cursor.fetchone() or ()) if cursor.description else ()
