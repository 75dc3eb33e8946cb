"""PostgreSQL functions for the hottest verbs; result indexes that cost every task and serve no query go.

Each statement may be repeated, and on PostgreSQL none holds up the tasks that are settled meanwhile, however many
results there are.
"""

from pathlib import Path

from django.db import migrations

FUNCTIONS = Path(__file__).resolve().parents[1] / "ledger" / "postgresql" / "functions_1.sql"
# Which worker ran it; which schedule entry it came from; how it ended, which is SUCCESS for nearly all of them.
UNUSED = ("django_cele_worker_d54dd8_idx", "django_cele_periodi_1993cf_idx", "django_cele_status_9b6201_idx")
OTHERS = "routing_result_no_success"
CREATE = "CREATE INDEX {} IF NOT EXISTS {} ON django_celery_results_taskresult (date_done) WHERE status <> 'SUCCESS'"
# For "LIKE 'begin%'"; and what is left of an index whose making was broken off.
LIKE = """
    SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
        AND tablename = 'django_celery_results_taskresult' AND indexname LIKE '%task_id%_like'
"""
BROKEN = """
    SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid
    WHERE relname = 'routing_result_no_success' AND NOT indisvalid
"""


def set_up(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        on_postgresql(schema_editor)
        return
    schema_editor.execute(CREATE.format("", OTHERS), None)
    for name in UNUSED:
        schema_editor.execute(f"DROP INDEX IF EXISTS {name}")


def on_postgresql(schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (before,) = cursor.fetchone()
        # Nobody waits behind these, so they may wait for others.
        cursor.execute("SET lock_timeout = 0")
        for name in (*names(cursor, BROKEN), *names(cursor, LIKE), *UNUSED):
            cursor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
        cursor.execute(CREATE.format("CONCURRENTLY", OTHERS))
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])
        cursor.execute(FUNCTIONS.read_text())


def names(cursor, question):
    cursor.execute(question)
    return [name for (name,) in cursor.fetchall()]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("routing", "0003_hot_tables"), ("django_celery_results", "0014_alter_taskresult_status")]
    operations = [migrations.RunPython(set_up, migrations.RunPython.noop)]
