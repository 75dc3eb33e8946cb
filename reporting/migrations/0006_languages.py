from django.db import migrations, models

import reporting.subscribing.tables


class Migration(migrations.Migration):
    dependencies = [
        ("reporting", "0005_attached_forms"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="language",
            field=models.CharField(
                db_default="en",
                default=reporting.subscribing.tables.default_language,
                max_length=10,
                verbose_name="language",
            ),
        ),
        migrations.AddField(
            model_name="reportedition",
            name="language",
            field=models.CharField(db_default="en", default="en", max_length=10, verbose_name="language"),
        ),
        migrations.AlterModelOptions(
            name="reportedition",
            options={
                "ordering": ["domains", "language"],
                "verbose_name": "edition",
                "verbose_name_plural": "editions",
            },
        ),
        # The new one first: at no moment may there be two of the same.
        migrations.AddConstraint(
            model_name="reportedition",
            constraint=models.UniqueConstraint(
                fields=("run", "domains", "language"), name="reporting_edition_by_language"
            ),
        ),
        migrations.RemoveConstraint(model_name="reportedition", name="reporting_edition_once"),
    ]
