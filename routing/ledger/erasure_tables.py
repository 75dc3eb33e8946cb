"""What was erased for a person, and on whose word; not who the person was."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Erasure(models.Model):
    """One erasure, also one that was stopped. What it has erased by then is told, whether or not it has ended."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=64)
    """Keyed, of what was looked for: the same command finds the erasure that it goes on with."""
    reference = models.CharField(_("reference"), max_length=200, blank=True)
    by = models.CharField(_("by"), max_length=255)
    started_at = models.DateTimeField(_("started"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)
    kind = models.CharField(max_length=60, blank=True)
    """Where it is: the kind of rows that it goes through,"""
    after = models.CharField(max_length=255, blank=True)
    """and the key of the last one that it is through with."""
    counts = models.JSONField(_("erased"), default=dict)
    """How many, by kind."""

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")
        indexes = [
            models.Index(fields=["digest"], condition=models.Q(ended_at=None), name="routing_erasure_open"),
        ]

    def __str__(self) -> str:
        return self.reference or f"{self.started_at:%Y-%m-%d %H:%M}"
