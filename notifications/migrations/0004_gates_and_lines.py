"""Tokens and places in line are counted in fractions of a millisecond: in seconds, not in moments."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0001_notifications"),
    ]

    operations = [
        migrations.RemoveField(model_name="gate", name="line_at"),
        migrations.RemoveField(model_name="gate", name="open_until"),
        migrations.RemoveField(model_name="gate", name="next_at"),
        migrations.AddField(model_name="gate", name="next_at", field=models.FloatField(default=0)),
        migrations.AddField(model_name="gate", name="probe_at", field=models.FloatField(default=0)),
        migrations.AddField(model_name="gate", name="is_probing", field=models.BooleanField(default=False)),
        migrations.AddField(model_name="gate", name="probes", field=models.PositiveIntegerField(default=0)),
        migrations.CreateModel(
            name="Line",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lane", models.CharField(max_length=40, verbose_name="lane")),
                ("end_at", models.FloatField()),
                (
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="notifications.gate",
                        verbose_name="gate",
                    ),
                ),
            ],
            options={
                "verbose_name": "line",
                "verbose_name_plural": "lines",
                "constraints": [
                    models.UniqueConstraint(fields=("gate", "lane"), name="notifications_line_of_lane"),
                ],
            },
        ),
    ]
