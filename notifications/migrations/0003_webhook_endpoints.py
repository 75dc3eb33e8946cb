"""Webhooks go to endpoints, each with a secret of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_templates_can_be_retired")]

    operations = [
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40, unique=True, verbose_name="name")),
                ("url", models.CharField(max_length=1000, verbose_name="URL")),
                ("secret", models.TextField(editable=False)),
                ("previous_secret", models.TextField(blank=True, default="", editable=False)),
                (
                    "previous_until",
                    models.DateTimeField(editable=False, null=True, verbose_name="the previous secret signs until"),
                ),
                ("rotated_at", models.DateTimeField(editable=False, verbose_name="secret made at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("created_by", models.CharField(blank=True, max_length=200, verbose_name="created by")),
            ],
            options={"verbose_name": "webhook endpoint", "verbose_name_plural": "webhook endpoints"},
        ),
    ]
