"""What cannot be read off later: how full each queue was in each hour, and how the last audit ended."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class QueueHour(models.Model):
    """The worst of an hour, as relays saw it about every minute; no row where none looked."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField(_("hour"))
    queue = models.CharField(_("queue"), max_length=100)
    waiting = models.BigIntegerField(_("most that waited"))
    wait = models.FloatField(_("longest wait"))
    """Seconds."""
    running = models.BigIntegerField(_("most that ran"))
    workers = models.IntegerField(_("fewest workers"))

    class Meta:
        verbose_name = _("hour of a queue")
        verbose_name_plural = _("hours of queues")
        constraints = [models.UniqueConstraint(fields=["hour", "queue"], name="routing_queuehour_of_queue")]

    def __str__(self) -> str:
        return f"{self.queue}, {self.hour:%Y-%m-%d %H}"


class LastAudit(models.Model):
    """One row: how the audit ended that was made last."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField()
    balances = models.BooleanField()
    stuck = models.IntegerField()
    """Kinds of tasks that had been stuck for long."""
    accepted = models.BigIntegerField()
    verdict = models.TextField()

    class Meta:
        verbose_name = _("last audit")
        verbose_name_plural = _("last audits")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}: {self.verdict}"
