"""Adds a column to the busiest table."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.RunSQL("ALTER TABLE routing_message ADD COLUMN trial integer"),
    ]
