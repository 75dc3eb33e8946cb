"""A run for each report and period, an edition for each choice of domains, a delivery for each who was sent it."""

from datetime import timedelta
from typing import NamedTuple
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

LATE_AFTER = timedelta(minutes=15)


class ReportRun(models.Model):
    """One report of one period. What it said is kept: it outlives the results it was computed from."""

    class State(models.TextChoices):
        BUILDING = "building", _("being built")
        FAILED = "failed", _("could not be built")
        BUILT = "built", _("built")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        NO_RECIPIENTS = "no_recipients", _("no recipients")
        QUIET = "quiet", _("nothing to tell")

    report = models.CharField(_("report"), max_length=40, default="weekly", db_default="weekly")
    period = models.CharField(_("period"), max_length=16)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.BUILDING)
    progress = models.PositiveSmallIntegerField(_("progress"), default=0, db_default=100)
    """In percent, while it is being built."""
    step = models.CharField(_("step"), max_length=200, blank=True, default="", db_default="")
    problem = models.TextField(_("problem"), blank=True, default="", db_default="")
    """Why it could not be built the last time."""
    built_at = models.DateTimeField(_("built at"), default=timezone.now)
    """Until then, when that was begun."""
    figures = models.JSONField(_("figures"), null=True, editable=False)
    """As releases before editions kept them."""
    corrected_at = models.DateTimeField(_("corrected at"), null=True)
    """It was built again after it had been sent, so that what people have may differ."""

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        ordering = ["-period", "report"]
        constraints = [models.UniqueConstraint(fields=["report", "period"], name="reporting_run_once")]

    def __str__(self) -> str:
        return f"{self.report} {self.period}"


class Choice(NamedTuple):
    """Of those who get the same edition, as Subscription has both."""

    domains: str = ""
    language: str = "en"


class ReportEdition(models.Model):
    """What a run says to those of one choice; the first that is stored is what all of them get."""

    run = models.ForeignKey(ReportRun, on_delete=models.CASCADE, related_name="editions", verbose_name=_("report"))
    domains = models.CharField(_("domains"), max_length=500, blank=True)
    """As Subscription has them: empty for all."""
    language = models.CharField(_("language"), max_length=10, default="en", db_default="en")
    document = models.JSONField(_("figures"))
    worth_sending = models.BooleanField(_("worth sending"), default=True)
    files = models.JSONField(_("files"), default=dict)
    """Form → name in Django's storage."""
    built_at = models.DateTimeField(_("built at"), default=timezone.now)

    class Meta:
        verbose_name = _("edition")
        verbose_name_plural = _("editions")
        ordering = ["domains", "language"]
        constraints = [
            models.UniqueConstraint(fields=["run", "domains", "language"], name="reporting_edition_by_language")
        ]

    def __str__(self) -> str:
        domains = self.domains.replace(",", ", ") or str(_("all domains"))
        return domains if self.language == settings.LANGUAGE_CODE else f"{domains} · {self.language_name}"

    @property
    def choice(self) -> Choice:
        return Choice(self.domains, self.language)

    @property
    def language_name(self) -> str:
        """In itself."""
        return str(dict(settings.LANGUAGES).get(self.language, self.language))


class ReportDelivery(models.Model):
    """One report to one address, once, which outlives the subscription; ``task_id`` is the task that mails it."""

    run = models.ForeignKey(ReportRun, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("report"))
    edition = models.ForeignKey(ReportEdition, null=True, on_delete=models.SET_NULL, verbose_name=_("edition"))
    address = models.EmailField(_("e-mail address"))
    key = models.CharField(_("key"), max_length=320, blank=True, default="", db_default="")
    """``report:period:recipient``: under it the notifications domain sends one message."""
    task_id = models.UUIDField(_("task"), default=uuid4, editable=False)
    due_at = models.DateTimeField(_("due at"), null=True, editable=False)
    enqueued_at = models.DateTimeField(_("enqueued at"), null=True, editable=False)
    withheld = models.CharField(_("not sent"), max_length=40, blank=True, default="", db_default="", editable=False)
    """Why no mail was made; empty where one was."""
    times_sent = models.PositiveIntegerField(_("times sent"), default=1, db_default=1, editable=False)
    """More than one where somebody had it sent again."""

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["address"]
        constraints = [models.UniqueConstraint("run", Lower("address"), name="reporting_delivery_once")]

    def __str__(self) -> str:
        return self.address

    @property
    def is_late(self) -> bool:
        return bool(self.due_at and self.enqueued_at and self.enqueued_at > self.due_at + LATE_AFTER)
