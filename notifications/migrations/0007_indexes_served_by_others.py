"""Two indexes that others begin with go: each delivery, and each attempt, has one less to be written into."""

from django.db import migrations, models
from django.db.models.deletion import CASCADE

DELIVERIES = "notifications_delivery_notification_id_ea8dc048"
ATTEMPTS = "notifications_attempt_delivery_id_18dba30b"


def drop(index: str, model: str, field: str, key: models.ForeignKey) -> migrations.RunSQL:
    """As Django would, but SQLite need not copy the table."""
    state = migrations.AlterField(model_name=model, name=field, field=key)
    return migrations.RunSQL(f"DROP INDEX IF EXISTS {index}", migrations.RunSQL.noop, state_operations=[state])


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0006_chat_targets"),
    ]

    operations = [
        drop(
            DELIVERIES,
            "delivery",
            "notification",
            models.ForeignKey(
                db_index=False,
                on_delete=CASCADE,
                related_name="deliveries",
                to="notifications.notification",
            ),
        ),
        drop(
            ATTEMPTS,
            "attempt",
            "delivery",
            models.ForeignKey(
                db_index=False,
                on_delete=CASCADE,
                related_name="attempts",
                to="notifications.delivery",
            ),
        ),
    ]
