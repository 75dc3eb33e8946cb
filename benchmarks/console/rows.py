"""Results of two months, made by the database: few tasks have most of them, and one in twenty-five failed."""

from datetime import timedelta

from reporting.rollups import gathering
from reporting.rollups.tables import RollUpState
from routing.ledger import database

CHUNK = 500_000
TABLE = "django_celery_results_taskresult"
TASKS = (
    *("notifications.send_email", "notifications.deliver", "reporting.weekly", "maintenance.cleanup", "billing.charge"),
    *("maintenance.roll_up", "shop.pay", "shop.ship", "shop.refund", "shop.invoice", "shop.remind", "shop.close"),
)
# Keys in the order of the rows, as a table that has been filled in two months is kept in memory by its newest part.
_MAKE = f"""
    INSERT INTO {TABLE} (
        task_id, task_name, status, result, traceback, meta, task_args, task_kwargs, worker, content_type,
        content_encoding, date_created, date_started, date_done
    )
    SELECT lpad(to_hex(i), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(i), 12, '0'), task, status,
        CASE status WHEN 'SUCCESS' THEN '{{"sent": 1}}'
            ELSE '{{"exc_type": "TimeoutError", "exc_message": ["no answer from 10.0.0.' || i %% 250
                || '"], "exc_module": "builtins"}}' END,
        CASE status WHEN 'FAILURE' THEN repeat(E'  File "tasks.py", line 17, in send\\n', 20) END,
        '{{"domain": "' || split_part(task, '.', 1) || '", "queue": "' || split_part(task, '.', 1)
            || '", "attempt": 1, "runs": 1, "root_id": null, "parent_id": null}}',
        '[]', '{{"user_id": ' || i %% 100000 || ', "subject": "Number ' || i || '", "text": "' || repeat('x', 150)
            || '"}}',
        split_part(task, '.', 1) || '@app-' || i %% 8, 'application/json', 'utf-8', at,
        at + interval '40 milliseconds' * (1 + i %% 200), at + interval '40 milliseconds' * (3 + i %% 200)
    FROM (
        SELECT i, (ARRAY[{", ".join(f"'{name}'" for name in TASKS)}])
                [1 + floor({len(TASKS)} * power(random(), 4))::int] AS task,
            (ARRAY['FAILURE', 'FAILURE', 'FAILURE', 'REVOKED'] || array_fill('SUCCESS'::text, ARRAY[96]))
                [1 + floor(100 * random())::int] AS status,
            now() - interval '60 days' + i * (interval '60 days' / %(rows)s) AS at
        FROM generate_series(%(first)s, %(last)s) AS i
    ) AS numbers
"""  # noqa: S608  (our own fragments)


def make(rows: int) -> None:
    """Without indexes first: one at a time, they are made faster than kept."""
    kept = database.rows(
        "SELECT indexname AS name, indexdef AS made FROM pg_indexes WHERE tablename = %s "
        "AND indexdef NOT LIKE '%% UNIQUE %%'",
        [TABLE],
    )
    database.execute("SET synchronous_commit = off")
    database.execute("SET maintenance_work_mem = '512MB'")
    for index in kept:
        database.execute(f'DROP INDEX "{index["name"]}"')
    for first in range(1, rows + 1, CHUNK):
        database.execute(_MAKE, {"rows": rows, "first": first, "last": min(first + CHUNK - 1, rows)})
    for index in kept:
        database.execute(index["made"])
    database.execute(f"VACUUM (ANALYZE) {TABLE}")


def count_the_last_day(rows: int) -> None:
    """As if the roll-ups had come to the end five minutes ago."""
    a_day = max(rows // 60, 1)
    RollUpState.objects.update_or_create(pk=1, defaults={"reached": rows - a_day})
    gathering.roll_up(budget=timedelta(minutes=30))
    RollUpState.objects.update(reached=rows - a_day // 288)


def use_the_stock_indexes() -> None:
    """Those of django-celery-results, as its migrations make them, and none of ours."""
    for name in (
        "routing_result_task",
        "routing_result_state",
        "routing_result_task_state",
        "routing_result_no_success",
    ):
        database.execute(f"DROP INDEX {name}")
    for column in ("task_name", "status", "worker", "periodic_task_name"):
        database.execute(f"CREATE INDEX stock_{column} ON {TABLE} ({column})")
    database.execute(f"CREATE INDEX stock_like ON {TABLE} (task_id varchar_pattern_ops)")
    database.execute(f"ANALYZE {TABLE}")
