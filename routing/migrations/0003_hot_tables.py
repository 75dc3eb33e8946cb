"""PostgreSQL settings of the tables whose rows live for seconds."""

from django.db import migrations

HOT = {
    # Half of each page stays free, so that a claim finds room beside the row it updates (HOT).
    "routing_message": "fillfactor = 50, ",
    "routing_outbox": "",
    "routing_tally": "",
    "routing_uniquekey": "",
}
# By rows, not by share: a table that once held a million rows would else wait for 200,000 dead ones.
VACUUM = (
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, "
    "autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000, "
    "autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0"
)


def set_up(_apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for table, own in HOT.items():
        schema_editor.execute(f"ALTER TABLE {table} SET ({own}{VACUUM})")
    # Django adds an index for LIKE 'begin%' to every text key; nothing asks that here, and each write would pay for it.
    schema_editor.execute(
        """
        DO $$ DECLARE name text; BEGIN
            FOR name IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
                AND tablename IN ('routing_message', 'routing_uniquekey') AND indexname LIKE '%_like'
            LOOP EXECUTE 'DROP INDEX ' || quote_ident(name); END LOOP;
        END $$
        """,
        None,
    )


class Migration(migrations.Migration):
    dependencies = [("routing", "0002_ledger"), ("django_celery_results", "0014_alter_taskresult_status")]
    operations = [migrations.RunPython(set_up, migrations.RunPython.noop)]
