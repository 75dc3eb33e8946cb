"""What is wrong just now, and who has been told: one row for each cause and channel."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Alert(models.Model):
    """It stands while ``over_at`` is empty. ``held_until``: until then nobody else tells it."""

    id = models.BigAutoField(primary_key=True)
    channel = models.CharField(_("channel"), max_length=20)
    cause = models.CharField(_("cause"), max_length=255)
    sentence = models.TextField(_("what is wrong"))
    began_at = models.DateTimeField(_("since"), db_default=Now())
    seen_at = models.DateTimeField(_("last seen"), db_default=Now())
    told_at = models.DateTimeField(_("told"), null=True)
    times_told = models.PositiveIntegerField(_("times told"), default=0)
    over_at = models.DateTimeField(_("over"), null=True)
    holder = models.CharField(max_length=36, default="", blank=True)
    held_until = models.DateTimeField(null=True)
    error = models.TextField(_("why it could not be told"), default="", blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ["began_at", "id"]
        constraints = [models.UniqueConstraint(fields=["channel", "cause"], name="routing_alert_once")]

    def __str__(self) -> str:
        return f"{self.cause} ({self.channel})"
