"""Whoever was a recipient is subscribed to the weekly report, on Monday at 9 o'clock in the project's time zone.

The table of recipients stays for code of the release before; a later release drops it. Reports and deliveries stay as
they are.
"""

from datetime import timedelta

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.db import migrations, models
from django.utils import timezone

import reporting.subscribing.tables


def subscribe_recipients(apps, schema_editor):
    using = schema_editor.connection.alias
    subscription = apps.get_model("reporting", "Subscription")
    now = timezone.now()
    # Of this week's report on: those before, they had.
    today = timezone.localtime(now, timezone.get_default_timezone())
    monday = today.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=today.weekday())
    rows = [
        subscription(
            email=old.email,
            name=old.name,
            report="weekly",
            counts_from=max(monday, old.created_at),
            paused_at=None if old.active else now,
        )
        for old in apps.get_model("reporting", "Recipient").objects.using(using).all()
    ]
    subscription.objects.using(using).bulk_create(rows, batch_size=500)


def drop_what_was_not_enqueued(apps, schema_editor):
    """What a process that died had not come to: those people wait, and get theirs."""
    deliveries = apps.get_model("reporting", "ReportDelivery").objects.using(schema_editor.connection.alias)
    deliveries.filter(enqueued_at=None).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("reporting", "0002_rollups"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReportEdition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("domains", models.CharField(blank=True, max_length=500, verbose_name="domains")),
                ("document", models.JSONField(verbose_name="figures")),
                ("worth_sending", models.BooleanField(default=True, verbose_name="worth sending")),
                ("files", models.JSONField(default=dict, verbose_name="files")),
                ("built_at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="built at")),
            ],
            options={
                "verbose_name": "edition",
                "verbose_name_plural": "editions",
                "ordering": ["domains"],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("email", models.EmailField(max_length=254, verbose_name="e-mail address")),
                ("name", models.CharField(blank=True, max_length=100, verbose_name="name")),
                ("report", models.CharField(default="weekly", max_length=40, verbose_name="report")),
                ("domains", models.CharField(blank=True, max_length=500, verbose_name="domains")),
                (
                    "weekday",
                    models.PositiveSmallIntegerField(
                        choices=[
                            (0, "Monday"),
                            (1, "Tuesday"),
                            (2, "Wednesday"),
                            (3, "Thursday"),
                            (4, "Friday"),
                            (5, "Saturday"),
                            (6, "Sunday"),
                        ],
                        default=0,
                        help_text="A daily report comes every day, whatever it says.",
                        verbose_name="weekday",
                    ),
                ),
                (
                    "hour",
                    models.PositiveSmallIntegerField(
                        default=9, validators=[django.core.validators.MaxValueValidator(23)], verbose_name="hour"
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(
                        default=reporting.subscribing.tables.project_zone,
                        max_length=64,
                        validators=[reporting.subscribing.tables.known_zone],
                        verbose_name="time zone",
                    ),
                ),
                (
                    "counts_from",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name="counts from"),
                ),
                ("paused_at", models.DateTimeField(editable=False, null=True, verbose_name="paused at")),
                ("ended_at", models.DateTimeField(editable=False, null=True, verbose_name="unsubscribed at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="added at")),
            ],
            options={
                "verbose_name": "report subscription",
                "verbose_name_plural": "report subscriptions",
                "ordering": ["email", "report"],
            },
        ),
        migrations.AlterModelOptions(
            name="reportrun",
            options={"ordering": ["-period", "report"], "verbose_name": "report", "verbose_name_plural": "reports"},
        ),
        migrations.AddField(
            model_name="reportdelivery",
            name="due_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="due at"),
        ),
        migrations.AddField(
            model_name="reportdelivery",
            name="key",
            field=models.CharField(blank=True, db_default="", default="", max_length=320, verbose_name="key"),
        ),
        migrations.AddField(
            model_name="reportdelivery",
            name="times_sent",
            field=models.PositiveIntegerField(db_default=1, default=1, editable=False, verbose_name="times sent"),
        ),
        migrations.AddField(
            model_name="reportdelivery",
            name="withheld",
            field=models.CharField(
                blank=True, db_default="", default="", editable=False, max_length=40, verbose_name="not sent"
            ),
        ),
        migrations.AddField(
            model_name="reportrun",
            name="corrected_at",
            field=models.DateTimeField(null=True, verbose_name="corrected at"),
        ),
        migrations.AddField(
            model_name="reportrun",
            name="problem",
            field=models.TextField(blank=True, db_default="", default="", verbose_name="problem"),
        ),
        migrations.AddField(
            model_name="reportrun",
            name="progress",
            field=models.PositiveSmallIntegerField(db_default=100, default=0, verbose_name="progress"),
        ),
        migrations.AddField(
            model_name="reportrun",
            name="report",
            field=models.CharField(db_default="weekly", default="weekly", max_length=40, verbose_name="report"),
        ),
        migrations.AddField(
            model_name="reportrun",
            name="step",
            field=models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="step"),
        ),
        migrations.AlterField(
            model_name="reportrun",
            name="figures",
            field=models.JSONField(editable=False, null=True, verbose_name="figures"),
        ),
        migrations.AlterField(
            model_name="reportrun",
            name="period",
            field=models.CharField(max_length=16, verbose_name="period"),
        ),
        migrations.AlterField(
            model_name="reportrun",
            name="state",
            field=models.CharField(
                choices=[
                    ("building", "being built"),
                    ("failed", "could not be built"),
                    ("built", "built"),
                    ("sending", "being sent"),
                    ("sent", "sent"),
                    ("no_recipients", "no recipients"),
                    ("quiet", "nothing to tell"),
                ],
                default="building",
                max_length=20,
                verbose_name="state",
            ),
        ),
        migrations.AddConstraint(
            model_name="reportrun",
            constraint=models.UniqueConstraint(fields=("report", "period"), name="reporting_run_once"),
        ),
        migrations.AddField(
            model_name="reportedition",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="editions",
                to="reporting.reportrun",
                verbose_name="report",
            ),
        ),
        migrations.AddField(
            model_name="reportdelivery",
            name="edition",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                to="reporting.reportedition",
                verbose_name="edition",
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(fields=["report", "time_zone", "weekday", "hour"], name="reporting_subscription_slot"),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("email"),
                models.F("report"),
                name="reporting_subscription_once",
                violation_error_message="This address is subscribed to this report already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="reportedition",
            constraint=models.UniqueConstraint(fields=("run", "domains"), name="reporting_edition_once"),
        ),
        migrations.RunPython(subscribe_recipients, migrations.RunPython.noop),
        migrations.RunPython(drop_what_was_not_enqueued, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel(name="Recipient")]),
    ]
