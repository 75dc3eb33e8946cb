"""The page on which a template is written: it previews, saves the next version, and sends its author a test."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from notifications import languages, services
from notifications.problems import InvalidNotification
from notifications.tables import Delivery
from notifications.templating import edit_form, preview, retiring, review, versions
from notifications.templating.declared import ALWAYS_GIVEN, Undeclarable, Variable
from notifications.templating.edit_form import TemplateForm
from notifications.templating.preview import BadValues, Preview
from notifications.templating.rendering import EMPTY, Sources, UnusableTemplate
from notifications.templating.tables import Template, TemplateVersion
from notifications.templating.versions import InvalidTemplate, Outdated

_TURNS = {"retire": retiring.retire, "restore": retiring.restore}


class EditPage:
    """One request. ``template`` is None for one that is yet to be."""

    def __init__(self, admin: Any, request: HttpRequest, template: Template | None) -> None:
        self._admin, self._request, self._template = admin, request, template
        self._newest = versions.newest_of(template) if template else None
        self._user: Any = request.user
        self.may_change = self._user.has_perm(f"notifications.{'change' if template else 'add'}_template")
        self._may_see_values = self._user.has_perm("notifications.view_delivery")
        self._language = _language(request) if self._newest else ""
        """That which it is translated into; empty for what is said to all others."""
        self._sources, self._variables = _of(self._newest, self._language)
        self._form = TemplateForm(initial=self._initial(), template=template)
        for name in self._form.fields if not self.may_change else ():
            self._form.fields[name].disabled = True

    def respond(self) -> HttpResponse:
        if self._request.method != "POST" or not self.may_change:
            return self._page()
        if self._template and (turn := _TURNS.get(self._request.POST.get("verb", ""))):
            self._tell_turned(turn(self._template, by=self._user))
            return self._back()
        return self._answer() or self._page()

    def _tell_turned(self, changed: bool) -> None:
        template = self._template
        assert template is not None  # noqa: S101
        if not changed:
            messages.info(self._request, _("Somebody else was first; nothing has changed."))
        elif template.retired_at:
            messages.success(self._request, _("It is retired: calls of it are refused. What is stored still goes out."))
        else:
            messages.success(self._request, _("It is restored: it can be called again."))

    def _initial(self) -> dict[str, Any]:
        # A translation begins with what is to be translated.
        said = versions.sources_of(self._newest, self._language) if self._newest else EMPTY
        return {
            "description": self._template.description if self._template else "",
            "after": self._newest.number if self._newest else 0,
            **vars(said),
        }

    def _answer(self) -> HttpResponse | None:
        """None where the page is shown again, with what was typed into it."""
        self._form = TemplateForm(self._request.POST, template=self._template)
        rows = edit_form.Rows(self._request.POST, prefix=edit_form.PREFIX)
        is_valid = self._form.is_valid()
        if not rows.is_valid():
            self._form.add_error(None, _("The rows of variables did not arrive whole; check them and try again."))
            return None
        self._sources = self._form.sources
        try:
            self._variables = edit_form.variables_in(rows)
        except Undeclarable as error:
            self._form.add_error(None, str(error))
            return None
        added = self._add_rows()
        if not is_valid:
            return None
        return {"save": self._save, "test": self._test}.get(self._request.POST.get("verb", ""), _nothing)(added)

    def _add_rows(self) -> list[str]:
        """For the variables that are used and have none yet."""
        try:
            added = review.names(self._sources, self._variables).undeclared
        except UnusableTemplate:
            return []
        self._variables += [Variable(name=name) for name in added]
        if added:
            told = ngettext(
                "%(names)s is new: say below what it is, and give a sample.",
                "%(names)s are new: say below what they are, and give samples.",
                len(added),
            )
            messages.warning(self._request, told % {"names": ", ".join(added)})
        return added

    def _save(self, added: list[str]) -> HttpResponse | None:
        if added:
            self._form.add_error(None, _("Nothing is saved yet: there are new variables. Look at their rows."))
            return None
        if self._is_as_saved():
            messages.info(self._request, _("Nothing has changed, so there is no new version."))
            return self._back()
        try:
            with transaction.atomic():
                version = self._saved()
        except InvalidTemplate as error:
            self._form.tell(error.problems)
            return None
        except Outdated as error:
            self._tell_outdated(error)
            return None
        except IntegrityError:
            self._form.add_error("name", _("Somebody has just made a template of that name."))
            return None
        self._tell_saved(version)
        return self._back()

    def _saved(self) -> TemplateVersion:
        data, is_new = self._form.cleaned_data, self._template is None
        template = self._template or Template(name=data["name"])
        if is_new or template.description != data["description"]:
            template.description = data["description"]
            template.save(update_fields=None if is_new else ["description"])
        version = self._newest
        if is_new or not self._says_the_same():
            version = self._save_version(template, after=data["after"])
        self._template, flag = template, ADDITION if is_new else CHANGE
        assert version is not None, "a template is saved with its first version"  # noqa: S101
        told = _("Version %(number)s.") % {"number": version.number}
        LogEntry.objects.log_actions(self._user.pk, [template], flag, change_message=told, single_object=True)
        return version

    def _save_version(self, template: Template, *, after: int) -> TemplateVersion:
        """What it says in other languages stays; a translation that is left empty goes."""
        said, translations = self._sources, versions.spoken_translations(self._newest)
        if self._language and self._newest:
            said = versions.sources_of(self._newest)
            translations[self._language] = self._sources
            if self._sources == EMPTY:
                del translations[self._language]
        return versions.save(template, said, self._variables, after=after, by=self._user, translations=translations)

    def _says_the_same(self) -> bool:
        is_seen = self._newest is not None and self._form.cleaned_data.get("after") == self._newest.number
        return is_seen and (self._sources, self._variables) == _of(self._newest, self._language)

    def _is_as_saved(self) -> bool:
        described = self._form.cleaned_data["description"]
        return self._template is not None and self._says_the_same() and self._template.description == described

    def _tell_outdated(self, error: Outdated) -> None:
        self._form.add_error(None, str(error))
        self._newest = error.newer
        # Whoever saves after having been told of the newer one means it.
        self._form.data = {**self._form.data.dict(), "after": str(error.newer.number)}  # type: ignore[attr-defined]

    def _tell_saved(self, version: TemplateVersion) -> None:
        messages.success(self._request, _("It is saved as %(version)s.") % {"version": version})
        if unused := self._unused():
            told = ngettext(
                "%(names)s is declared and not used. Remove its row, unless callers still give it.",
                "%(names)s are declared and not used. Remove their rows, unless callers still give them.",
                len(unused),
            )
            messages.warning(self._request, told % {"names": ", ".join(unused)})

    def _test(self, added: list[str]) -> HttpResponse | None:
        if self._template is None or not self._says_the_same():
            self._form.add_error(None, _("Save it first: a test is of the newest version."))
        elif not self._user.email:
            self._form.add_error(None, _("You have no e-mail address here; give your user one, under Users."))
        else:
            self._send()
        return None

    def _send(self) -> None:
        assert self._template is not None  # noqa: S101
        try:
            values, _named = self._values()
            values = {name: value for name, value in values.items() if name not in ALWAYS_GIVEN}
            sent = services.notify(
                self._user.email,
                template=self._template.name,
                context=values,
                language=self._language,
                created_by=self._user.get_username(),
            )
        except (InvalidNotification, BadValues) as error:
            self._form.add_error(None, str(error))
            return
        messages.success(
            self._request,
            format_html(_("A test is on its way to {}, as notification {}."), self._user.email, sent.pk),
        )

    def _back(self) -> HttpResponse:
        assert self._template is not None  # noqa: S101
        asked = f"?language={self._language}" if self._language else ""
        return HttpResponseRedirect(reverse("admin:notifications_template_change", args=[self._template.pk]) + asked)

    def _values(self) -> tuple[dict[str, Any], str]:
        return preview.values(
            self._variables, pasted=self._request.POST.get("values", ""), delivery=self._chosen_delivery()
        )

    def _chosen_delivery(self) -> Delivery | None:
        chosen = self._request.POST.get("delivery", "")
        if not (chosen.isdecimal() and self._template and self._may_see_values):
            return None
        mine = Delivery.objects.filter(notification__template__template=self._template)
        return mine.select_related("notification").filter(pk=int(chosen[:18])).first()

    def _preview(self) -> Preview | None:
        said = self._sources
        if said == EMPTY and self._newest and self._language:
            said = versions.sources_of(self._newest)
        if said == EMPTY:
            return None
        try:
            values, values_of = self._values()
        except BadValues as error:
            return Preview(None, "", [str(error)])
        return preview.preview(said, values, values_of=values_of, language=self._language)

    def _page(self) -> HttpResponse:
        template = self._template
        context = {
            **self._admin.admin_site.each_context(self._request),
            "title": template.name if template else _("Add template"),
            "opts": self._admin.opts,
            "template": template,
            "newest": self._newest,
            "form": self._form,
            "rows": edit_form.rows_for(self._variables),
            "unused": self._unused(),
            "preview": self._preview(),
            "values": self._request.POST.get("values", ""),
            "delivery": self._request.POST.get("delivery", ""),
            "recent": preview.recent(template) if template and self._may_see_values else [],
            "versions": list(template.versions.select_related("created_by")[:50]) if template else [],
            "may_change": self.may_change,
            "language": self._language,
            "languages": self._languages(),
        }
        return TemplateResponse(self._request, "notifications/edit_template.html", context)

    def _languages(self) -> list[tuple[str, str, bool]]:
        """Code, name, and whether it is said in that one; empty for the site's own."""
        if self._newest is None:
            return []
        own, there = dict(settings.LANGUAGES)[settings.LANGUAGE_CODE], versions.translations_of(self._newest)
        return [("", own, True), *((code, name, code in there) for code, name in languages.others().items())]

    def _others(self) -> list[Sources]:
        """What it says in other languages than the one that is written."""
        if self._newest is None:
            return []
        own, translations = versions.sources_of(self._newest), versions.translations_of(self._newest)
        return [said for code, said in {"": own, **translations}.items() if code != self._language]

    def _unused(self) -> Sequence[str]:
        try:
            return review.names(self._sources, self._variables, others=self._others()).unused
        except UnusableTemplate:
            return []


def _language(request: HttpRequest) -> str:
    asked = request.GET.get("language", "")
    return asked if asked in languages.others() else ""


def _nothing(added: list[str]) -> None:
    """A preview is what the page shows anyway."""


def _of(version: TemplateVersion | None, language: str) -> tuple[Sources, list[Variable]]:
    """Of a language that it is not translated into, nothing."""
    if version is None:
        return EMPTY, []
    said = versions.translations_of(version).get(language, EMPTY) if language else versions.sources_of(version)
    return said, versions.declared_by(version)
