"""One row for each person and report."""

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

MONDAY, NINE = 0, 9


def project_zone() -> str:
    return str(settings.TIME_ZONE)


def default_language() -> str:
    return str(settings.LANGUAGE_CODE)


def known_zone(name: str) -> None:
    """Raises ValidationError, which tells the cure."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValidationError(
            _("“%(name)s” is no time zone. Write one such as Europe/Berlin, America/New_York or UTC."),
            params={"name": name},
        ) from None


class Weekday(models.IntegerChoices):
    MONDAY = 0, _("Monday")
    TUESDAY = 1, _("Tuesday")
    WEDNESDAY = 2, _("Wednesday")
    THURSDAY = 3, _("Thursday")
    FRIDAY = 4, _("Friday")
    SATURDAY = 5, _("Saturday")
    SUNDAY = 6, _("Sunday")


class Subscription(models.Model):
    """What is paused or ended stays, so that a link in an old e-mail still works."""

    email = models.EmailField(_("e-mail address"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    report = models.CharField(_("report"), max_length=40, default="weekly")
    domains = models.CharField(_("domains"), max_length=500, blank=True)
    """By name, with commas between, in the alphabet's order; empty for all."""
    attached = models.CharField(_("attached files"), max_length=100, blank=True, default="", db_default="")
    """Names of forms, likewise; empty for none."""
    weekday = models.PositiveSmallIntegerField(
        _("weekday"), choices=Weekday, default=MONDAY, help_text=_("A daily report comes every day, whatever it says.")
    )
    hour = models.PositiveSmallIntegerField(_("hour"), default=NINE, validators=[MaxValueValidator(23)])
    time_zone = models.CharField(_("time zone"), max_length=64, default=project_zone, validators=[known_zone])
    language = models.CharField(_("language"), max_length=10, default=default_language, db_default="en")
    """One of LANGUAGES."""
    counts_from = models.DateTimeField(_("counts from"), default=timezone.now, editable=False)
    """What was due before is not theirs: that of the time before they subscribed, or of a pause."""
    paused_at = models.DateTimeField(_("paused at"), null=True, editable=False)
    ended_at = models.DateTimeField(_("unsubscribed at"), null=True, editable=False)
    created_at = models.DateTimeField(_("added at"), auto_now_add=True)

    class Meta:
        verbose_name = _("report subscription")
        verbose_name_plural = _("report subscriptions")
        ordering = ["email", "report"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                "report",
                name="reporting_subscription_once",
                violation_error_message=_("This address is subscribed to this report already."),
            )
        ]
        indexes = [
            models.Index(fields=["report", "time_zone", "weekday", "hour"], name="reporting_subscription_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email

    def clean_fields(self, exclude: Any = None) -> None:
        self.email = self.email.strip()
        super().clean_fields(exclude)

    @property
    def is_active(self) -> bool:
        return self.paused_at is None and self.ended_at is None
