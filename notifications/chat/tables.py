"""The chat rooms and phones that are written to: each an Apprise URL, which holds secrets and is kept sealed."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ChatTarget(models.Model):
    """Never deleted, as its deliveries name it. Whether it is switched off is what the suppression list says."""

    name = models.CharField(_("name"), max_length=40, unique=True)
    """Whom callers write to."""
    url = models.TextField(editable=False)
    scheme = models.CharField(max_length=20, editable=False)
    host = models.CharField(max_length=260, editable=False)
    """What has a limit and a circuit of its own; nothing of it is secret."""
    changed_at = models.DateTimeField(_("URL given at"), editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("chat target")
        verbose_name_plural = _("chat targets")

    def __str__(self) -> str:
        return self.name
