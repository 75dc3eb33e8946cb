"""The gates that all workers go through: one row for each channel with a limit, and for each host behind it.

What is counted in fractions of a millisecond is in seconds since 1970, by the database's clock.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Gate(models.Model):
    """When the next may pass, and whether the circuit is open: the host is down and is left alone."""

    name = models.CharField(_("name"), max_length=300, primary_key=True)
    """``email``, or ``email:smtp.example.org:587``."""
    next_at = models.FloatField(default=0)
    """When the next may pass at an even pace; some may come early."""
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    opened_at = models.DateTimeField(_("down since"), null=True)
    """None while the circuit is closed, which is the rule."""
    probe_at = models.FloatField(default=0)
    """While the circuit is open: when one delivery may try whether the host is back."""
    is_probing = models.BooleanField(default=False)
    """One tries at the moment, until ``probe_at`` at the latest."""
    probes = models.PositiveIntegerField(default=0)
    """Tries in vain since the circuit was opened."""
    error = models.TextField(_("why"), blank=True)

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")

    def __str__(self) -> str:
        return self.name


class Line(models.Model):
    """Those of one lane that were told when to come back to a gate: each has a place of its own in time."""

    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="lines", verbose_name=_("gate"))
    lane = models.CharField(_("lane"), max_length=40)
    end_at = models.FloatField()
    """The next place that is free."""

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        constraints = [models.UniqueConstraint(fields=["gate", "lane"], name="notifications_line_of_lane")]

    def __str__(self) -> str:
        return f"{self.gate_id}, {self.lane}"
