"""Indexes that lead to the newest results of a task, and of a state that is rare; the one on names alone goes.

A success, which nearly all results are, costs no index more than before. Each statement may be repeated, and on
PostgreSQL none holds up the tasks that are settled meanwhile.
"""

from django.db import migrations

TABLE = "django_celery_results_taskresult"
RARE = "WHERE status <> 'SUCCESS'"
MADE = {
    "routing_result_task": "(task_name, date_created)",
    "routing_result_state": f"(status, date_created) {RARE}",
    "routing_result_task_state": f"(task_name, status, date_created) {RARE}",
}
# routing_result_task begins with what it has.
REPLACED = "django_cele_task_na_08aec9_idx"
# What is left of an index whose making was broken off.
BROKEN = """
    SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid
    WHERE relname IN ('routing_result_task', 'routing_result_state', 'routing_result_task_state') AND NOT indisvalid
"""


def set_up(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        on_postgresql(schema_editor)
        return
    for name, columns in MADE.items():
        schema_editor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {TABLE} {columns}", None)
    schema_editor.execute(f"DROP INDEX IF EXISTS {REPLACED}")


def on_postgresql(schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (before,) = cursor.fetchone()
        # Nobody waits behind these, so they may wait for others.
        cursor.execute("SET lock_timeout = 0")
        cursor.execute(BROKEN)
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
        for name, columns in MADE.items():
            cursor.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {TABLE} {columns}")
        cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {REPLACED}")
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("routing", "0012_settle_2"), ("django_celery_results", "0014_alter_taskresult_status")]
    operations = [migrations.RunPython(set_up, migrations.RunPython.noop)]
