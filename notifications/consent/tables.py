"""What a recipient has asked for, which addresses are not written to, and what came back of what was sent."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Preference(models.Model):
    """A recipient's own choice about one category; without a row, it is sent."""

    address_key = models.CharField(_("address"), max_length=320)
    category = models.CharField(_("category"), max_length=40)
    wanted = models.BooleanField(_("wanted"))
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    source = models.CharField(_("changed by"), max_length=40)
    """``one-click``, ``page``, ``complaint``, ``admin`` or ``api``."""

    class Meta:
        verbose_name = _("preference")
        verbose_name_plural = _("preferences")
        constraints = [
            models.UniqueConstraint(fields=["address_key", "category"], name="notifications_preference_once")
        ]

    def __str__(self) -> str:
        return f"{self.address_key}: {self.category}"


class Suppression(models.Model):
    """An address that is not written to any more over a channel, until it is lifted; for each reason once."""

    class Reason(models.TextChoices):
        REFUSED = "refused", _("refused for good")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained")
        BY_HAND = "by_hand", _("by hand")

    channel = models.CharField(_("channel"), max_length=20, default="email")
    address_key = models.CharField(_("address"), max_length=320)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    detail = models.TextField(_("detail"), blank=True)
    delivery = models.ForeignKey(
        "notifications.Delivery", null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("because of")
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)
    created_by = models.CharField(_("by"), max_length=200, blank=True)
    lifted_at = models.DateTimeField(_("lifted at"), null=True, blank=True)
    """The row stays, and tells that it was in force until then."""
    lifted_by = models.CharField(_("lifted by"), max_length=200, blank=True, default="", db_default="")
    lifted_because = models.TextField(_("lifted because"), blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("suppressed address")
        verbose_name_plural = _("suppressed addresses")
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "address_key", "reason"],
                condition=Q(lifted_at=None),
                name="notifications_suppression_in_force",
            )
        ]
        indexes = [models.Index(fields=["address_key"], name="notifications_suppressed")]

    def __str__(self) -> str:
        return self.address_key


class Feedback(models.Model):
    """A bounce or a complaint as we were told of it, once, or what came as one and nobody could understand."""

    class Kind(models.TextChoices):
        HARD_BOUNCE = "hard_bounce", _("bounced for good")
        SOFT_BOUNCE = "soft_bounce", _("bounced for now")
        COMPLAINT = "complaint", _("complaint")
        UNREADABLE = "unreadable", _("not understood")

    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    """The same one told again has the same."""
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    channel = models.CharField(_("channel"), max_length=20, default="email")
    address_key = models.CharField(_("address"), max_length=320, blank=True)
    message_id = models.TextField(_("Message-ID"), blank=True)
    detail = models.TextField(_("detail"), blank=True)
    raw = models.TextField(_("as it came"), blank=True)
    """Only of what was not understood."""
    delivery = models.ForeignKey(
        "notifications.Delivery", null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("delivery")
    )
    effect = models.CharField(_("what it changed"), max_length=200, blank=True)
    source = models.CharField(_("told by"), max_length=200)
    received_at = models.DateTimeField(_("received at"), auto_now_add=True)

    class Meta:
        verbose_name = _("bounce or complaint")
        verbose_name_plural = _("bounces and complaints")
        indexes = [
            models.Index(fields=["-received_at"], name="notifications_feedback_newest"),
            models.Index(fields=["address_key"], name="notifications_feedback_of"),
        ]

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.get_kind_display(), self.address_key or self.message_id]))
