"""Chat messages go to targets, each an Apprise URL."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0005_languages")]

    operations = [
        migrations.CreateModel(
            name="ChatTarget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40, unique=True, verbose_name="name")),
                ("url", models.TextField(editable=False)),
                ("scheme", models.CharField(editable=False, max_length=20)),
                ("host", models.CharField(editable=False, max_length=260)),
                ("changed_at", models.DateTimeField(editable=False, verbose_name="URL given at")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("created_by", models.CharField(blank=True, max_length=200, verbose_name="created by")),
            ],
            options={"verbose_name": "chat target", "verbose_name_plural": "chat targets"},
        ),
    ]
