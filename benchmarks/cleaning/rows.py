"""Results of a pipeline that has been running for two months, made by the database."""

import psycopg

from routing.ledger import database
from routing.ledger.tables import Tally

MAKE = """
    INSERT INTO django_celery_results_taskresult (
        task_id, task_name, status, result, traceback, meta, task_args, task_kwargs, worker, content_type,
        content_encoding, date_created, date_started, date_done
    )
    SELECT gen_random_uuid()::text, task, status, CASE status WHEN 'SUCCESS' THEN '{{"sent": 1}}'
            ELSE '{{"exc_type": "PermanentError", "exc_message": ["refused"], "exc_module": "routing.errors"}}' END,
        CASE status WHEN 'FAILURE' THEN repeat('  File "tasks.py", line 17, in send\\n', 20) END,
        '{{"domain": "' || split_part(task, '.', 1) || '", "queue": "' || split_part(task, '.', 1)
            || '", "attempt": 1, "runs": 1, "root_id": "' || gen_random_uuid() || '", "parent_id": null}}',
        '[]',
        '{{"to": ["somebody@example.com"], "subject": "Number ' || i || '", "text": "' || repeat('x', 200) || '"}}',
        task || '@host', 'application/json', 'utf-8', done, done, done
    FROM (
        SELECT i, CASE WHEN i % 7 = 0 THEN 'reporting.weekly' ELSE 'notifications.send_email' END AS task,
            {status} AS status, now() - interval '{oldest} days' + i * (interval '{days} days' / {count}) AS done
        FROM generate_series(1, {count}) AS i
    ) AS numbers
"""


def make(count: int) -> None:
    """Half of them successes of over 30 days; with every 20th of these comes an old failure, which is kept."""
    half = count // 2
    mixed = "CASE WHEN i % 21 = 0 THEN 'FAILURE' ELSE 'SUCCESS' END"
    old = half * 21 // 20
    database.execute(MAKE.format(status=mixed, oldest=60, days=29, count=old).replace("%", "%%"), [])
    young = count - old
    database.execute(MAKE.format(status=mixed, oldest=29, days=28, count=young).replace("%", "%%"), [])
    for domain, in_domain in domains():
        Tally.objects.create(domain=domain, accepted=in_domain, finished=in_domain)


def domains() -> list[tuple[str, int]]:
    rows = database.rows(
        "SELECT split_part(task_name, '.', 1) AS domain, count(*) AS count "
        "FROM django_celery_results_taskresult GROUP BY 1"
    )
    return [(row["domain"], row["count"]) for row in rows]


def tidy_and_copy(url: str, name: str) -> None:
    """As autovacuum leaves it in the course of two months; and a database ``name`` with the same rows."""
    database.execute("VACUUM (ANALYZE) django_celery_results_taskresult")
    database.connection().close()
    server, _, source = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy".encode())
        connection.execute("CHECKPOINT")
