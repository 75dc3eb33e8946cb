"""The clean-up's records: when it ran, how far it came, and what it removed."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Cleanup(models.Model):
    """One clean-up. What was killed has no end; what it had removed by then is told all the same."""

    id = models.BigAutoField(primary_key=True)
    as_of = models.DateTimeField(_("as of"))
    """The moment by which ages were judged."""
    policy = models.CharField(max_length=32)
    """Alike for the same declarations."""
    whole = models.BooleanField()
    """Whether it went through everything, and not only through what came to be due since another one."""
    started_at = models.DateTimeField(_("started"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)
    complete = models.BooleanField(_("complete"), default=False)

    class Meta:
        verbose_name = _("clean-up")
        verbose_name_plural = _("clean-ups")

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class Removal(models.Model):
    """How many rows of one sort a clean-up removed, counted in the transactions that removed them."""

    id = models.BigAutoField(primary_key=True)
    cleanup = models.ForeignKey(Cleanup, on_delete=models.CASCADE, related_name="removals")
    kind = models.CharField(_("kind"), max_length=60)
    domain = models.CharField(_("domain"), max_length=40)
    outcome = models.CharField(_("outcome"), max_length=20)
    count = models.BigIntegerField(_("rows"))

    class Meta:
        verbose_name = _("removal")
        verbose_name_plural = _("removals")
        ordering = ["kind", "domain", "outcome"]
        constraints = [
            models.UniqueConstraint(fields=["cleanup", "kind", "domain", "outcome"], name="routing_removal_once")
        ]

    def __str__(self) -> str:
        return f"{self.count:,} {self.kind}"
