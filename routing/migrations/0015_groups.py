"""Groups to put people into, and permissions of their own for payloads and secrets.

What the groups may do is given to them when all permissions exist, at the end of ``migrate`` (routing/console/groups.py).
"""

from django.conf import settings
from django.db import migrations

NAMES = ("viewer", "operator", "admin")


def make(apps, schema_editor):
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for name in NAMES:
        groups.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("routing", "0014_causes_and_jobs"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="message",
            options={
                "permissions": [
                    ("view_payload", "Can see arguments and results"),
                    ("reveal_secret", "Can reveal secret arguments, which is written down"),
                ],
                "verbose_name": "task in flight",
                "verbose_name_plural": "tasks in flight",
            },
        ),
        # They stay on the way back: people may be in them.
        migrations.RunPython(make, migrations.RunPython.noop),
    ]
