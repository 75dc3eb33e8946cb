"""Jobs that people ask for, their notes about causes, and two indexes on dead letters.

Settlements of failures wait while the indexes are made: about two seconds for a million letters.
"""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0013_result_search_indexes"),
    ]

    operations = [
        migrations.CreateModel(
            name="CauseNote",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("fingerprint", models.CharField(max_length=32)),
                ("text", models.TextField(verbose_name="note")),
                ("by", models.CharField(max_length=150, verbose_name="by")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="at")),
            ],
            options={
                "verbose_name": "note about a cause",
                "verbose_name_plural": "notes about causes",
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("verb", models.CharField(max_length=20, verbose_name="what")),
                ("scope", models.TextField()),
                ("told", models.TextField(verbose_name="for")),
                ("fingerprint", models.CharField(db_default="", default="", max_length=32)),
                ("expected", models.BigIntegerField(null=True, verbose_name="rows")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "at work"),
                            ("done", "done"),
                            ("stopped", "stopped"),
                            ("returned", "stopped by itself"),
                            ("failed", "broken off"),
                        ],
                        db_default="open",
                        default="open",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("turn", models.IntegerField(db_default=1, default=1)),
                ("position", models.TextField(db_default="", default="")),
                ("seen", models.BigIntegerField(db_default=0, default=0)),
                ("outcomes", models.TextField(db_default="{}", default="{}")),
                ("stages", models.TextField(db_default="[]", default="[]")),
                ("trouble", models.TextField(db_default="", default="")),
                ("asked_by", models.CharField(max_length=150, verbose_name="asked by")),
                (
                    "asked_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="asked"),
                ),
                ("moved_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True, verbose_name="ended")),
                ("stopped_by", models.CharField(db_default="", default="", max_length=150, verbose_name="stopped by")),
                ("wish", models.CharField(max_length=64, unique=True)),
            ],
            options={
                "verbose_name": "job",
                "verbose_name_plural": "jobs",
            },
        ),
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(
                condition=models.Q(("state", "open")),
                fields=["fingerprint", "id", "dead_at"],
                name="routing_deadletter_open",
            ),
        ),
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(
                condition=models.Q(("replayed_as", ""), _negated=True),
                fields=["replayed_as"],
                name="routing_deadletter_replay",
            ),
        ),
        migrations.AddIndex(
            model_name="causenote",
            index=models.Index(fields=["fingerprint"], name="routing_causenote_cause"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["fingerprint"], name="routing_job_cause"),
        ),
        migrations.AddConstraint(
            model_name="job",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "open"), models.Q(("fingerprint", ""), _negated=True)),
                fields=("fingerprint",),
                name="routing_job_one_per_cause",
            ),
        ),
    ]
