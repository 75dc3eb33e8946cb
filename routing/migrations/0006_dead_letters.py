from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0005_unknown_since"),
    ]

    operations = [
        migrations.AddField(
            model_name="deadletter",
            name="decided_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="decided_by",
            field=models.CharField(db_default="", max_length=150),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="delivery",
            field=models.CharField(max_length=100, null=True),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="fingerprint",
            field=models.CharField(db_default="", max_length=32),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="history",
            field=models.TextField(db_default="[]"),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="raw",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="replayed_as",
            field=models.CharField(db_default="", max_length=255),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="source",
            field=models.CharField(db_default="", max_length=255),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="state",
            field=models.CharField(
                choices=[("open", "open"), ("replayed", "replayed"), ("discarded", "discarded")],
                db_default="open",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="deadletter",
            name="reason",
            field=models.CharField(
                choices=[
                    ("failed", "failed"),
                    ("poison", "killed its workers"),
                    ("crashed", "its worker died, and it may not start twice"),
                    ("lost", "known to neither ledger nor results"),
                    ("undecodable", "cannot be read"),
                    ("refused", "of a content type that is refused"),
                    ("unknown", "its worker does not know the task"),
                    ("rejected", "rejected by its worker"),
                    ("misrouted", "sent to a queue that does not exist"),
                    ("expired", "expired in RabbitMQ"),
                    ("returned", "given back too often"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(fields=["fingerprint", "dead_at"], name="routing_deadletter_cause"),
        ),
        migrations.AddConstraint(
            model_name="deadletter",
            constraint=models.UniqueConstraint(fields=("delivery",), name="routing_deadletter_delivery"),
        ),
    ]
