"""Tokens for the HTTP API: shown once, stored as a hash, allowed to do what their scopes say, revocable."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

PREFIX = "ty_"
USE_IS_RECORDED_EVERY = timedelta(minutes=1)
BEFORE_SCOPES = "notifications:send tasks:read"
"""What every token could do before there were scopes, and what one may that a release without them makes."""


class ApiToken(models.Model):
    """What a program shows to use the HTTP API. The token itself is nowhere stored."""

    name = models.CharField(_("name"), max_length=100, help_text=_("Which program uses it, for example “web shop”."))
    scopes = models.CharField(
        pgettext_lazy("a token", "may"),
        max_length=400,
        blank=True,
        default="",
        db_default=BEFORE_SCOPES,
        help_text=_("Nothing else is answered."),
    )
    """Names of scopes with spaces between them, as OAuth writes them."""
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("begins with"), max_length=12, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, editable=False)

    issued = ""
    """The token itself, in the object that has just issued it and nowhere else."""

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name

    def issue(self) -> str:
        """Give this row a new random token and return it, for the only time. Saves the row."""
        self.issued = PREFIX + secrets.token_urlsafe(32)
        self.digest, self.hint = digest(self.issued), self.issued[:8]
        self.save()
        return self.issued

    def may(self, scope: str) -> bool:
        return scope in self.scopes.split()

    def revoke(self) -> bool:
        """False if it was revoked before."""
        live = ApiToken.objects.filter(pk=self.pk, revoked_at=None)
        return live.update(revoked_at=timezone.now()) == 1


class UnknownToken(LookupError):
    """A token that lets nobody in; the message tells why and the cure."""


def digest(token: str) -> str:
    """A plain hash will do: a token has 256 random bits, so nobody can guess it from its hash."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def authenticate(token: str) -> ApiToken:
    """The live token that this is. Raises UnknownToken."""
    found = ApiToken.objects.filter(digest=digest(token)).first()
    if found is None:
        raise UnknownToken("This token is unknown. Copy it again, or have an administrator make a new one.")
    if found.revoked_at is not None:
        raise UnknownToken(
            f"This token ({found.hint}…, “{found.name}”) was revoked at {found.revoked_at:%Y-%m-%d %H:%M} UTC. "
            "Have an administrator make a new one."
        )
    _record_use(found)
    return found


def _record_use(token: ApiToken) -> None:
    """To the minute: a busy program's calls must not queue up behind one row."""
    now = timezone.now()
    stale = models.Q(last_used_at=None) | models.Q(last_used_at__lt=now - USE_IS_RECORDED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
