"""Users have inboxes."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("notifications", "0003_webhook_endpoints"),
    ]

    operations = [
        migrations.CreateModel(
            name="InAppMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("category", models.CharField(max_length=40, verbose_name="category")),
                ("subject", models.TextField(verbose_name="subject")),
                ("text", models.TextField(verbose_name="text")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="received at")),
                ("read_at", models.DateTimeField(blank=True, null=True, verbose_name="read at")),
                (
                    "delivery",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="in_app",
                        to="notifications.delivery",
                        verbose_name="delivery",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "in-app message",
                "verbose_name_plural": "in-app messages",
                "indexes": [
                    models.Index(fields=["user", "-id"], name="notifications_inbox"),
                    models.Index(
                        condition=models.Q(("read_at", None)),
                        fields=["user", "-id"],
                        name="notifications_inbox_unread",
                    ),
                ],
            },
        ),
    ]
