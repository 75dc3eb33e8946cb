"""PostgreSQL functions for the hottest verbs; result indexes that cost every task and serve no query go."""

from pathlib import Path

from django.db import migrations

FUNCTIONS = Path(__file__).resolve().parents[1] / "ledger" / "postgresql" / "functions_1.sql"
# Which worker ran it; which schedule entry it came from; how it ended, which is SUCCESS for nearly all of them.
UNUSED = ("django_cele_worker_d54dd8_idx", "django_cele_periodi_1993cf_idx", "django_cele_status_9b6201_idx")
OTHERS = (
    "CREATE INDEX IF NOT EXISTS routing_result_no_success ON django_celery_results_taskresult (date_done) "
    "WHERE status <> 'SUCCESS'"
)
# For "LIKE 'begin%'".
LIKE = """
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
            AND tablename = 'django_celery_results_taskresult' AND indexname LIKE '%task_id%_like'
        LOOP EXECUTE 'DROP INDEX ' || quote_ident(name); END LOOP;
    END $$
"""


def set_up(_apps, schema_editor):
    schema_editor.execute(OTHERS, None)
    for name in UNUSED:
        schema_editor.execute(f"DROP INDEX IF EXISTS {name}")
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(LIKE, None)
        schema_editor.execute(FUNCTIONS.read_text(), None)


class Migration(migrations.Migration):
    dependencies = [("routing", "0003_hot_tables"), ("django_celery_results", "0014_alter_taskresult_status")]
    operations = [migrations.RunPython(set_up, migrations.RunPython.noop)]
