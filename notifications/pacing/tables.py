"""The gates that all workers go through: one row for each channel, and for each host behind it."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Gate(models.Model):
    """When the next may pass, and whether the circuit is open: the host is down and is left alone."""

    name = models.CharField(_("name"), max_length=300, primary_key=True)
    """``email``, or ``email:smtp.example.org:587``."""
    next_at = models.DateTimeField(null=True)
    """When the next may pass."""
    line_at = models.DateTimeField(null=True)
    """The end of the line of those that were told to come back."""
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    open_until = models.DateTimeField(_("closed until"), null=True)
    """While the circuit is open: when one delivery may try whether the host is back."""
    opened_at = models.DateTimeField(_("down since"), null=True)
    error = models.TextField(_("why"), blank=True)

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")

    def __str__(self) -> str:
        return self.name
