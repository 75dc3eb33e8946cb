from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_notifications")]

    operations = [
        migrations.AddField("notification", "emptied_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField("delivery", "emptied_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField(
            "delivery",
            "resent_at",
            models.DateTimeField(editable=False, null=True, verbose_name="sent again at"),
        ),
    ]
