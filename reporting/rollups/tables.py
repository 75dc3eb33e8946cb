"""One row for each hour, domain, queue, task and outcome, and how far the results have been gone through."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Counted(models.Model):
    """Results of one queue with one outcome. Durations are microseconds; histograms are those of histogram.py."""

    domain = models.CharField(_("domain"), max_length=40, blank=True)
    queue = models.CharField(_("queue"), max_length=100, blank=True)
    outcome = models.CharField(_("outcome"), max_length=50)
    count = models.PositiveBigIntegerField(_("count"))
    retries = models.PositiveBigIntegerField(_("retries"), default=0)
    waited = models.PositiveBigIntegerField(_("waited in all"), default=0)
    ran = models.PositiveBigIntegerField(_("ran in all"), default=0)
    waits = models.JSONField(_("waits"), default=dict)
    runs = models.JSONField(_("runs"), default=dict)

    class Meta:
        abstract = True


class RollUp(Counted):
    """Of one task in one hour."""

    hour = models.DateTimeField(_("hour"))
    task = models.CharField(_("task"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("roll-up")
        verbose_name_plural = _("roll-ups")
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "domain", "queue", "task", "outcome"], name="reporting_rollup_of_hour"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}: {self.task} {self.outcome}"


class RollUpTotal(Counted):
    """All that was counted since migration 0004. It is never pruned: what counts on only ever rises."""

    class Meta:
        verbose_name = _("total")
        verbose_name_plural = _("totals")
        constraints = [models.UniqueConstraint(fields=["domain", "queue", "outcome"], name="reporting_total_once")]

    def __str__(self) -> str:
        return f"{self.queue} {self.outcome}"


class RollUpState(models.Model):
    """The one row of it is locked by whoever goes on."""

    reached = models.PositiveBigIntegerField(default=0)
    """The key of the last result that is counted."""
    complete_until = models.DateTimeField(null=True)
    """All results recorded by then are counted."""
    fence = models.JSONField(null=True)
    """One that was not firm when it was taken, for the next time."""
    unfinished = models.JSONField(default=list)
    """Keys of results gone past that had no outcome, as other releases keep those of running tasks."""

    class Meta:
        verbose_name = _("state of the roll-ups")
        verbose_name_plural = _("state of the roll-ups")

    def __str__(self) -> str:
        return f"up to {self.reached}"
