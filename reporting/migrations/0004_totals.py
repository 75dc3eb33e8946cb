from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reporting", "0003_subscriptions_and_editions"),
    ]

    operations = [
        migrations.CreateModel(
            name="RollUpTotal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("domain", models.CharField(blank=True, max_length=40, verbose_name="domain")),
                ("queue", models.CharField(blank=True, max_length=100, verbose_name="queue")),
                ("outcome", models.CharField(max_length=50, verbose_name="outcome")),
                ("count", models.PositiveBigIntegerField(verbose_name="count")),
                ("retries", models.PositiveBigIntegerField(default=0, verbose_name="retries")),
                ("waited", models.PositiveBigIntegerField(default=0, verbose_name="waited in all")),
                ("ran", models.PositiveBigIntegerField(default=0, verbose_name="ran in all")),
                ("waits", models.JSONField(default=dict, verbose_name="waits")),
                ("runs", models.JSONField(default=dict, verbose_name="runs")),
            ],
            options={
                "verbose_name": "total",
                "verbose_name_plural": "totals",
                "constraints": [
                    models.UniqueConstraint(fields=("domain", "queue", "outcome"), name="reporting_total_once")
                ],
            },
        ),
    ]
