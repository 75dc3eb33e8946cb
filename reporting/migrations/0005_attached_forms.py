from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reporting", "0004_totals"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="attached",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=100, verbose_name="attached files"
            ),
        ),
    ]
