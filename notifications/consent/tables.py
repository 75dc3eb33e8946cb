"""What a recipient has asked for, and which addresses are not written to."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Preference(models.Model):
    """A recipient's own choice about one category; without a row, it is sent."""

    address_key = models.CharField(_("address"), max_length=320)
    category = models.CharField(_("category"), max_length=40)
    wanted = models.BooleanField(_("wanted"))
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    source = models.CharField(_("changed by"), max_length=40)
    """``one-click``, ``page``, ``admin`` or ``api``."""

    class Meta:
        verbose_name = _("preference")
        verbose_name_plural = _("preferences")
        constraints = [
            models.UniqueConstraint(fields=["address_key", "category"], name="notifications_preference_once")
        ]

    def __str__(self) -> str:
        return f"{self.address_key}: {self.category}"


class Suppression(models.Model):
    """An address that is not written to any more over a channel, whatever the category."""

    class Reason(models.TextChoices):
        REFUSED = "refused", _("refused for good")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained")
        BY_HAND = "by_hand", _("by hand")

    channel = models.CharField(_("channel"), max_length=20)
    address_key = models.CharField(_("address"), max_length=320)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    detail = models.TextField(_("detail"), blank=True)
    delivery = models.ForeignKey(
        "notifications.Delivery", null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("because of")
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)
    created_by = models.CharField(_("by"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("suppressed address")
        verbose_name_plural = _("suppressed addresses")
        constraints = [
            models.UniqueConstraint(fields=["channel", "address_key"], name="notifications_suppression_once")
        ]

    def __str__(self) -> str:
        return self.address_key
