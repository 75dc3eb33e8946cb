"""The pipeline's own tables."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Process(models.Model):
    """Who lives: one row for each long-running process, which beats by writing the database's time into it."""

    class Role(models.TextChoices):
        BEAT = "beat", _("beat")

    role = models.CharField(max_length=20, choices=Role)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())

    LATE_AFTER = timedelta(seconds=30)

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        constraints = [models.UniqueConstraint(fields=["role", "host", "pid"], name="routing_process_identity")]

    def __str__(self) -> str:
        return f"{self.role} {self.host}:{self.pid}"
