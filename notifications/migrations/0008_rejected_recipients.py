import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_notifications")]

    operations = [
        migrations.CreateModel(
            name="Rejection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveIntegerField(verbose_name="position")),
                ("address", models.CharField(blank=True, max_length=400, verbose_name="address")),
                ("reason", models.TextField(verbose_name="reason")),
                (
                    "notification",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rejections",
                        to="notifications.notification",
                    ),
                ),
            ],
            options={
                "verbose_name": "rejected recipient",
                "verbose_name_plural": "rejected recipients",
                "constraints": [
                    models.UniqueConstraint(fields=("notification", "position"), name="notifications_rejected_position")
                ],
            },
        ),
    ]
