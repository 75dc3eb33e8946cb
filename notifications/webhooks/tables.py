"""The endpoints that webhooks go to: each a URL with a secret of its own, which is kept sealed."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Endpoint(models.Model):
    """Never deleted, as its deliveries name it. Whether it is switched off is what the suppression list says."""

    name = models.CharField(_("name"), max_length=40, unique=True)
    """Whom callers write to."""
    url = models.CharField(_("URL"), max_length=1000)
    secret = models.TextField(editable=False)
    previous_secret = models.TextField(editable=False, blank=True, default="")
    previous_until = models.DateTimeField(_("the previous secret signs until"), null=True, editable=False)
    rotated_at = models.DateTimeField(_("secret made at"), editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")

    def __str__(self) -> str:
        return self.name
