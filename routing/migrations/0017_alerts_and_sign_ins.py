import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0016_erasures"),
    ]

    operations = [
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("channel", models.CharField(max_length=20, verbose_name="channel")),
                ("cause", models.CharField(max_length=255, verbose_name="cause")),
                ("sentence", models.TextField(verbose_name="what is wrong")),
                (
                    "began_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="since"),
                ),
                (
                    "seen_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), verbose_name="last seen"
                    ),
                ),
                ("told_at", models.DateTimeField(null=True, verbose_name="told")),
                ("times_told", models.PositiveIntegerField(default=0, verbose_name="times told")),
                ("over_at", models.DateTimeField(null=True, verbose_name="over")),
                ("holder", models.CharField(blank=True, default="", max_length=36)),
                ("held_until", models.DateTimeField(null=True)),
                ("error", models.TextField(blank=True, default="", verbose_name="why it could not be told")),
            ],
            options={
                "verbose_name": "alert",
                "verbose_name_plural": "alerts",
                "ordering": ["began_at", "id"],
                "constraints": [models.UniqueConstraint(fields=("channel", "cause"), name="routing_alert_once")],
            },
        ),
        migrations.CreateModel(
            name="SignInAttempts",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name_digest", models.CharField(max_length=64)),
                ("address", models.CharField(max_length=64, verbose_name="address")),
                ("count", models.PositiveIntegerField(default=0, verbose_name="attempts")),
                (
                    "last_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), db_index=True, verbose_name="last"
                    ),
                ),
            ],
            options={
                "verbose_name": "sign-in attempts",
                "verbose_name_plural": "sign-in attempts",
                "constraints": [
                    models.UniqueConstraint(fields=("name_digest", "address"), name="routing_sign_in_once")
                ],
            },
        ),
    ]
