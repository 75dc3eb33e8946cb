"""The settlement that says when a delayed task was due; the one before stays for workers that are still to be replaced."""

from pathlib import Path

from django.db import migrations

FUNCTIONS = Path(__file__).resolve().parents[1] / "ledger" / "postgresql" / "functions_2.sql"


def set_up(_apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FUNCTIONS.read_text())


class Migration(migrations.Migration):
    dependencies = [("routing", "0011_token_scopes")]
    operations = [migrations.RunPython(set_up, migrations.RunPython.noop)]
