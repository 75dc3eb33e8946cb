"""Suppressions stay when they are lifted, one in force for each reason; bounces and complaints are taken in once."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_notifications")]

    operations = [
        migrations.AddField(
            model_name="suppression",
            name="lifted_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="lifted at"),
        ),
        migrations.AddField(
            model_name="suppression",
            name="lifted_because",
            field=models.TextField(blank=True, db_default="", default="", verbose_name="lifted because"),
        ),
        migrations.AddField(
            model_name="suppression",
            name="lifted_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="lifted by"),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="channel",
            field=models.CharField(default="email", max_length=20, verbose_name="channel"),
        ),
        migrations.RemoveConstraint(model_name="suppression", name="notifications_suppression_once"),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.UniqueConstraint(
                condition=Q(("lifted_at", None)),
                fields=("channel", "address_key", "reason"),
                name="notifications_suppression_in_force",
            ),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["address_key"], name="notifications_suppressed"),
        ),
        migrations.CreateModel(
            name="Feedback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(editable=False, max_length=64, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("hard_bounce", "bounced for good"),
                            ("soft_bounce", "bounced for now"),
                            ("complaint", "complaint"),
                            ("unreadable", "not understood"),
                        ],
                        max_length=20,
                        verbose_name="kind",
                    ),
                ),
                ("channel", models.CharField(default="email", max_length=20, verbose_name="channel")),
                ("address_key", models.CharField(blank=True, max_length=320, verbose_name="address")),
                ("message_id", models.TextField(blank=True, verbose_name="Message-ID")),
                ("detail", models.TextField(blank=True, verbose_name="detail")),
                ("raw", models.TextField(blank=True, verbose_name="as it came")),
                ("effect", models.CharField(blank=True, max_length=200, verbose_name="what it changed")),
                ("source", models.CharField(max_length=200, verbose_name="told by")),
                ("received_at", models.DateTimeField(auto_now_add=True, verbose_name="received at")),
                (
                    "delivery",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to="notifications.delivery",
                        verbose_name="delivery",
                    ),
                ),
            ],
            options={
                "verbose_name": "bounce or complaint",
                "verbose_name_plural": "bounces and complaints",
                "indexes": [
                    models.Index(fields=["-received_at"], name="notifications_feedback_newest"),
                    models.Index(fields=["address_key"], name="notifications_feedback_of"),
                ],
            },
        ),
    ]
