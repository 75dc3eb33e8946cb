"""How full each queue was at its worst in each hour, and how the last audit ended: for the console's start page."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0017_alerts_and_sign_ins"),
    ]

    operations = [
        migrations.CreateModel(
            name="LastAudit",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("balances", models.BooleanField()),
                ("stuck", models.IntegerField()),
                ("accepted", models.BigIntegerField()),
                ("verdict", models.TextField()),
            ],
            options={
                "verbose_name": "last audit",
                "verbose_name_plural": "last audits",
            },
        ),
        migrations.CreateModel(
            name="QueueHour",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField(verbose_name="hour")),
                ("queue", models.CharField(max_length=100, verbose_name="queue")),
                ("waiting", models.BigIntegerField(verbose_name="most that waited")),
                ("wait", models.FloatField(verbose_name="longest wait")),
                ("running", models.BigIntegerField(verbose_name="most that ran")),
                ("workers", models.IntegerField(verbose_name="fewest workers")),
            ],
            options={
                "verbose_name": "hour of a queue",
                "verbose_name_plural": "hours of queues",
                "constraints": [models.UniqueConstraint(fields=("hour", "queue"), name="routing_queuehour_of_queue")],
            },
        ),
    ]
