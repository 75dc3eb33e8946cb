"""A version of a template as it was saved, beside another one, and to be restored."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from notifications import languages
from notifications.templating import declared, preview, versions
from notifications.templating.rendering import EMPTY, Sources
from notifications.templating.tables import Template, TemplateVersion
from notifications.templating.versions import InvalidTemplate, Outdated

CONTEXT_LINES = 3


@dataclass(frozen=True)
class Line:
    """``kind`` is ``added``, ``removed``, ``place`` or nothing."""

    kind: str
    text: str


@dataclass(frozen=True)
class Difference:
    name: str
    lines: list[Line]


def differences(before: TemplateVersion, after: TemplateVersion) -> list[Difference]:
    """Part by part; of a part that is the same, nothing."""
    pairs = zip(_parts(before), _parts(after), strict=True)
    found = [Difference(name, list(_lines(old, new))) for (name, old), (_name, new) in pairs]
    return [part for part in found if part.lines]


def respond(admin: Any, request: HttpRequest, template: Template, number: int) -> HttpResponse:
    version = template.versions.select_related("template", "created_by").filter(number=number).first()
    newest = versions.newest_of(template)
    if version is None or newest is None:
        messages.warning(request, _("There is no version %(number)s of it.") % {"number": number})
        return HttpResponseRedirect(_own_url(template))
    if request.method == "POST":
        return _restore(request, version)
    other = _other(request, version, newest)
    values, values_of = preview.values(versions.declared_by(version))
    context = {
        **admin.admin_site.each_context(request),
        "title": version,
        "opts": admin.opts,
        "template": template,
        "version": version,
        "newest": newest,
        "other": other,
        "differences": differences(*sorted((version, other), key=lambda one: one.number)) if other else [],
        "parts": [(name, source) for name, source in _parts(version) if source],
        "numbers": list(template.versions.exclude(pk=version.pk).values_list("number", flat=True)),
        "preview": preview.preview(versions.sources_of(version), values, values_of=values_of),
        "may_change": request.user.has_perm("notifications.change_template"),
    }
    return TemplateResponse(request, "notifications/template_version.html", context)


def _other(request: HttpRequest, version: TemplateVersion, newest: TemplateVersion) -> TemplateVersion | None:
    """The one that is asked for; else the newest, and for the newest the one before."""
    asked = request.GET.get("with", "")
    usual = newest.number if version != newest else version.number - 1
    number = int(asked[:9]) if asked.isdecimal() else usual
    return version.template.versions.filter(number=number).exclude(pk=version.pk).first()


def _restore(request: HttpRequest, version: TemplateVersion) -> HttpResponse:
    user: Any = request.user
    if not user.has_perm("notifications.change_template"):
        raise PermissionDenied
    seen = request.POST.get("after", "")
    try:
        with transaction.atomic():
            made = versions.restore(version, after=int(seen[:9]) if seen.isdecimal() else 0, by=user)
            told = _("Version %(number)s, which is version %(old)s again.")
            said = told % {"number": made.number, "old": version.number}
            LogEntry.objects.log_actions(user.pk, [version.template], CHANGE, change_message=said, single_object=True)
    except (InvalidTemplate, Outdated) as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(request.path)
    messages.success(request, said)
    return HttpResponseRedirect(_own_url(version.template))


def _parts(version: TemplateVersion) -> list[tuple[str, str]]:
    rows = declared.read(version.variables)
    listed = "\n".join(json.dumps(row.stored(), ensure_ascii=False) for row in sorted(rows, key=lambda row: row.name))
    return [*_said(versions.sources_of(version)), *_translated(version), (_("Variables"), listed)]


def _translated(version: TemplateVersion) -> Iterator[tuple[str, str]]:
    """In each language, so that two versions have the same parts."""
    translations = versions.translations_of(version)
    for language, name in languages.others().items():
        for part, source in _said(translations.get(language, EMPTY)):
            yield f"{part} ({name})", source


def _said(sources: Sources) -> list[tuple[str, str]]:
    return [(_("Subject"), sources.subject), (_("HTML"), sources.html), (_("Text"), sources.text)]


def _lines(before: str, after: str) -> Iterator[Line]:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    found = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=CONTEXT_LINES)
    # The first two lines name files.
    for line in list(found)[2:]:
        yield Line(kinds.get(line[0], ""), _place(line) if line[0] == "@" else line[1:])


def _place(line: str) -> str:
    """Of ``@@ -3,7 +3,9 @@``, where it is in the newer one."""
    return _("line %(number)s") % {"number": line.split("+")[1].partition(",")[0].partition(" ")[0]}


def _own_url(template: Template) -> str:
    return reverse("admin:notifications_template_change", args=[template.pk])
