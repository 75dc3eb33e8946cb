"""Many old results at once, in the books as if they had been settled."""

import json
from datetime import datetime

from celery import states

from routing.ledger import database
from routing.ledger.tables import Tally


def store_many(
    count: int,
    *,
    done_at: datetime,
    task: str = "reporting.weekly",
    status: str = states.SUCCESS,
    domain: str = "reporting",
    payload: str = "x",
) -> None:
    """All of one moment, made by the database."""
    some_id = "md5(random()::text || i)" if database.on_postgresql() else "lower(hex(randomblob(16)))"
    meta, kwargs = json.dumps({"domain": domain, "queue": domain}), json.dumps({"text": payload})
    moment = database.parameter(done_at)
    database.execute(
        f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {count}) "  # noqa: S608
        "INSERT INTO django_celery_results_taskresult (task_id, task_name, status, meta, task_args, task_kwargs, "
        "result, content_type, content_encoding, date_created, date_done) "
        f"SELECT {some_id}, %s, %s, %s, '[]', %s, %s, 'application/json', 'utf-8', %s, %s FROM numbers",
        [task, status, meta, kwargs, json.dumps(payload), moment, moment],
    )
    Tally.objects.create(domain=domain, accepted=count, finished=count)
