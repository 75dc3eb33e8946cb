"""Who gets the weekly report, and which reports were made and sent."""

from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from reporting.figures import Figures
from reporting.rollups.tables import RollUp, RollUpState

__all__ = ["Recipient", "ReportDelivery", "ReportRun", "RollUp", "RollUpState"]


class Recipient(models.Model):
    """Somebody who reads the weekly report."""

    email = models.EmailField(_("e-mail address"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    active = models.BooleanField(_("active"), default=True, help_text=_("Only active recipients are sent the report."))
    created_at = models.DateTimeField(_("added at"), auto_now_add=True)

    class Meta:
        verbose_name = _("report recipient")
        verbose_name_plural = _("report recipients")
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="reporting_recipient_email",
                violation_error_message=_("This address is in the list already."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email

    def clean_fields(self, exclude: Any = None) -> None:
        self.email = self.email.strip()
        super().clean_fields(exclude)


class ReportRun(models.Model):
    """The report of one finished week. Its figures are kept: they outlive the results they were computed from."""

    class State(models.TextChoices):
        BUILT = "built", _("built")
        SENT = "sent", _("sent")
        NO_RECIPIENTS = "no_recipients", _("no recipients")

    period = models.CharField(_("week"), max_length=16, unique=True)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.BUILT)
    figures = models.JSONField(_("figures"))
    built_at = models.DateTimeField(_("built at"), default=timezone.now)

    class Meta:
        verbose_name = _("weekly report")
        verbose_name_plural = _("weekly reports")
        ordering = ["-period"]

    def __str__(self) -> str:
        return self.period

    def read_figures(self) -> Figures:
        return Figures.from_json(self.figures)

    def conclude(self) -> None:
        """Tell in its state whether it went to anybody."""
        self.state = self.State.SENT if self.deliveries.exists() else self.State.NO_RECIPIENTS
        self.save(update_fields=["state"])


class ReportDelivery(models.Model):
    """One report to one address, which outlives the recipient; ``task_id`` is the task that sends it."""

    run = models.ForeignKey(ReportRun, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("report"))
    address = models.EmailField(_("e-mail address"))
    task_id = models.UUIDField(_("task"), default=uuid4, editable=False)
    enqueued_at = models.DateTimeField(_("enqueued at"), null=True, editable=False)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["address"]
        constraints = [models.UniqueConstraint("run", Lower("address"), name="reporting_delivery_once")]

    def __str__(self) -> str:
        return self.address

    def mark_enqueued(self) -> bool:
        """False if another run of the task did so first."""
        waiting = ReportDelivery.objects.filter(pk=self.pk, enqueued_at=None)
        return waiting.update(enqueued_at=timezone.now()) == 1
