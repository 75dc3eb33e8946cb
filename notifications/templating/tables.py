"""Templates in the database. A version never changes; an edit makes the next one."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

_NEVER = (
    "A version of a template never changes, and never goes: messages that were sent are shown by it. Save a new one."
)


class Template(models.Model):
    """Something that is said again and again; callers name it."""

    name = models.SlugField(
        _("name"), max_length=100, unique=True, help_text=_("What callers call it: password-reset.")
    )
    description = models.TextField(_("description"), blank=True)
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True, editable=False)
    """From then on nobody can call it."""
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Unchanging(models.QuerySet["TemplateVersion"]):
    """Versions are added and read."""

    def update(self, **values: Any) -> NoReturn:
        raise TypeError(_NEVER)

    def bulk_update(self, *args: Any, **values: Any) -> NoReturn:
        raise TypeError(_NEVER)

    def delete(self) -> NoReturn:
        raise TypeError(_NEVER)


class TemplateVersion(models.Model):
    """What a template says from its saving on; the newest is what is sent."""

    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    subject = models.TextField(_("subject"))
    html = models.TextField(_("HTML"), blank=True)
    text = models.TextField(_("text"), blank=True, help_text=_("Left out, it is made from the HTML."))
    variables = models.JSONField(_("variables"), default=list, blank=True)
    """``{"name": …, "required": bool, "secret": bool, "sample": …}`` each."""
    translations = models.JSONField(_("translations"), null=True, blank=True, editable=False)
    """By language ``{"subject": …, "text": …, "html": …}``; what is said above goes to whoever reads none of them."""
    created_at = models.DateTimeField(_("saved at"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, verbose_name=_("saved by")
    )

    objects = Unchanging.as_manager()

    class Meta:
        verbose_name = _("version of a template")
        verbose_name_plural = _("versions of templates")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="notifications_template_version")]

    def __str__(self) -> str:
        return f"{self.template.name}, version {self.number}"

    def save(self, *args: Any, **options: Any) -> None:
        if not self._state.adding:
            raise TypeError(_NEVER)
        super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> NoReturn:
        raise TypeError(_NEVER)

    def said_in(self, language: str) -> dict[str, str]:
        """Subject, text and HTML."""
        own = {"subject": self.subject, "text": self.text, "html": self.html}
        found: dict[str, str] = (self.translations or {}).get(language, own)
        return found

    @property
    def required(self) -> frozenset[str]:
        return frozenset(variable["name"] for variable in self.variables if variable.get("required"))

    @property
    def secret(self) -> frozenset[str]:
        return frozenset(variable["name"] for variable in self.variables if variable.get("secret"))
