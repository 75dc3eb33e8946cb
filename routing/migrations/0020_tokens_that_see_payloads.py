"""Tokens that may read tasks go on seeing what these returned, which is a scope of its own from now on."""

from typing import Any

from django.db import migrations

TASKS, PAYLOADS = "tasks:read", "payloads:read"


def give(apps: Any, schema_editor: Any) -> None:
    """Safe to call again. Who has a token changed at the same moment keeps what he ticked."""
    tokens = apps.get_model("routing", "ApiToken").objects.using(schema_editor.connection.alias)
    for token in tokens.filter(scopes__contains=TASKS):
        scopes = token.scopes.split()
        if TASKS in scopes and PAYLOADS not in scopes:
            same = tokens.filter(pk=token.pk, scopes=token.scopes)
            same.update(scopes=" ".join([*scopes, PAYLOADS]))


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0019_jobs_lost_tasks"),
    ]

    operations = [
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
