"""Tokens that there are may what they could: the database fills that in, also for a release that knows no scopes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0010_cleanups"),
    ]

    operations = [
        migrations.AddField(
            model_name="apitoken",
            name="scopes",
            field=models.CharField(
                blank=True,
                db_default="notifications:send tasks:read",
                default="",
                help_text="Nothing else is answered.",
                max_length=400,
                verbose_name="may",
            ),
        ),
    ]
