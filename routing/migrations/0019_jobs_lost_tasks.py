"""How many tasks of a job ended without it, so that others take their place a few times and no more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("routing", "0018_queue_hours"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="lost",
            field=models.IntegerField(db_default=0, default=0),
        ),
    ]
