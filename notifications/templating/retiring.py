"""A template that nobody shall call any more is retired, and can be restored; what was stored still goes out."""

from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from notifications.problems import InvalidNotification, Problem
from notifications.templating.tables import Template


class Retired(InvalidNotification):
    """The template of a call is retired; the message tells since when, and the cure."""

    def __init__(self, template: Template) -> None:
        super().__init__([Problem("template", f"{refusal(template)}.")])


def refusal(template: Template) -> str:
    """Why it cannot be called, and the cure; empty where it can be."""
    if template.retired_at is None:
        return ""
    day = date_format(timezone.localtime(template.retired_at), "j F Y")
    return (
        f"{template.name!r} was retired on {day}; name another one, or restore it, in the admin or by "
        f"manage.py templates restore {template.name}"
    )


def retire(template: Template, *, by: Any = None) -> bool:
    """Refuse calls of it from now on. False if it was retired already."""
    with transaction.atomic():
        changed = Template.objects.filter(pk=template.pk, retired_at=None).update(retired_at=timezone.now())
        return _noted(bool(changed), template, _("Retired."), by)


def restore(template: Template, *, by: Any = None) -> bool:
    """Take calls of it again. False if it was not retired."""
    with transaction.atomic():
        changed = Template.objects.filter(pk=template.pk, retired_at__isnull=False).update(retired_at=None)
        return _noted(bool(changed), template, _("Restored."), by)


def _noted(changed: bool, template: Template, words: str, by: Any) -> bool:
    template.refresh_from_db(fields=["retired_at"])
    if changed and by is not None:
        LogEntry.objects.log_actions(by.pk, [template], CHANGE, change_message=words, single_object=True)
    return changed
