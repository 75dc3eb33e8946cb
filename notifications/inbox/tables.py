"""The messages in users' inboxes, one for each delivery over the channel ``in_app``."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class InAppMessage(models.Model):
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", verbose_name=_("user")
    )
    delivery = models.OneToOneField(
        "notifications.Delivery", on_delete=models.CASCADE, related_name="in_app", verbose_name=_("delivery")
    )
    """By it a message that is stored once more is known."""
    category = models.CharField(_("category"), max_length=40)
    subject = models.TextField(_("subject"))
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(_("received at"), auto_now_add=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)

    class Meta:
        verbose_name = _("in-app message")
        verbose_name_plural = _("in-app messages")
        indexes = [
            models.Index(fields=["user", "-id"], name="notifications_inbox"),
            models.Index(fields=["user", "-id"], name="notifications_inbox_unread", condition=Q(read_at=None)),
        ]

    def __str__(self) -> str:
        return self.subject
