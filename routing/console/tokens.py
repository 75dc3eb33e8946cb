"""Tokens for the HTTP API: shown once, stored as a hash, revocable."""

import hashlib
import secrets

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

PREFIX = "ty_"


class ApiToken(models.Model):
    """What a program shows to use the HTTP API. The token itself is nowhere stored."""

    name = models.CharField(_("name"), max_length=100, help_text=_("Which program uses it, for example “web shop”."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("begins with"), max_length=12, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, verbose_name=_("created by")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name

    def issue(self) -> str:
        """Give this row a new random token and return it, for the only time. Saves the row."""
        token = PREFIX + secrets.token_urlsafe(32)
        self.digest, self.hint = digest(token), token[:8]
        self.save()
        return token

    def revoke(self) -> bool:
        """False if it was revoked before."""
        live = ApiToken.objects.filter(pk=self.pk, revoked_at=None)
        return live.update(revoked_at=timezone.now()) == 1


def digest(token: str) -> str:
    """A plain hash will do: a token has 256 random bits, so nobody can guess it from its hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def authenticate(token: str) -> ApiToken | None:
    """The live token that this is; None if it is unknown or revoked."""
    found = ApiToken.objects.filter(digest=digest(token), revoked_at=None).first()
    if found is not None:
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=timezone.now())
    return found
