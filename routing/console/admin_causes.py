"""The pages of causes in the admin: open dead letters by what went wrong, and what people note about it."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _

from routing.console import cause_deeds, rights
from routing.console.cause_page import CausePage, cause_page
from routing.console.cause_rows import SECONDS, cause_list, cause_url
from routing.console.decisions import may_decide
from routing.console.number_words import grouped
from routing.ledger import database
from routing.ledger.job_tables import CauseNote

LONGEST_NOTE = 5_000
Page = Callable[..., HttpResponse]


class CausePages:
    """Beside the list of dead letters, whose permissions they have. ``admin`` is that list's."""

    def __init__(self, admin: Any) -> None:
        self.admin = admin

    def urls(self) -> list[Any]:
        def page(view: Page) -> Page:
            seen: Page = self.admin.admin_site.admin_view(self._seen(view))
            return seen

        return [
            path("causes/", page(self.list), name="routing_deadletter_causes"),
            path("causes/<str:fingerprint>/", page(self.cause), name="routing_deadletter_cause"),
            path("causes/<str:fingerprint>/note/", page(self.note), name="routing_deadletter_cause_note"),
            path("causes/<str:fingerprint>/<slug:verb>/", page(self.deed), name="routing_deadletter_cause_deed"),
        ]

    def list(self, request: HttpRequest) -> HttpResponse:
        context = {"causes": cause_list(), "seconds": round(SECONDS)}
        return self._page(request, "console/causes.html", title=_("Causes of failures"), **context)

    def cause(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        page = self._found(fingerprint)
        return self._show(request, page) if page else self._unknown(request)

    def note(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        """Kept with who and when. What cannot be kept comes back with what is wrong about it."""
        page = self._found(fingerprint)
        if page is None:
            return self._unknown(request)
        if not may_decide(request):
            raise PermissionDenied
        text = request.POST.get("note", "").strip()
        if request.method != "POST" or (mistake := _mistake(text)):
            return self._show(request, page, note=text, mistake=mistake if request.method == "POST" else "")
        user: Any = request.user
        with database.atomic():
            kept = CauseNote.objects.using(database.using()).create(
                fingerprint=page.fingerprint, text=text, by=user.get_username()
            )
            told = _("Noted about %(task)s: %(text)s") % {"task": page.task, "text": text[:500]}
            LogEntry.objects.log_actions(user.pk, [kept], CHANGE, change_message=told, single_object=True)
        messages.success(request, _("Your note is kept with the cause."))
        return HttpResponseRedirect(cause_url(page.fingerprint))

    def deed(self, request: HttpRequest, fingerprint: str, verb: str) -> HttpResponse:
        """A page that asks; once that is answered a job, and to its page."""
        page = self._found(fingerprint)
        if page is None or verb not in cause_deeds.DEEDS:
            return self._unknown(request)
        if not may_decide(request):
            raise PermissionDenied
        return cause_deeds.make(self._page, request, cause_deeds.DEEDS[verb], page)

    def _show(self, request: HttpRequest, page: CausePage, **more: Any) -> HttpResponse:
        context = {"page": page, "may_decide": may_decide(request), "longest_note": LONGEST_NOTE, **more}
        context["deeds"] = cause_deeds.open_to(page) if may_decide(request) else []
        return self._page(request, "console/cause.html", title=page.task, **context)

    def _seen(self, view: Page) -> Page:
        def seen(request: HttpRequest, **of: Any) -> HttpResponse:
            if not self.admin.has_view_permission(request):
                raise PermissionDenied
            rights.require_all_domains(request.user)
            return view(request, **of)

        return seen

    def _found(self, fingerprint: str) -> CausePage | None:
        return cause_page(fingerprint.strip().lower().replace("\0", ""))

    def _unknown(self, request: HttpRequest) -> HttpResponse:
        messages.warning(request, _("No dead letter of this cause is kept any more."))
        return HttpResponseRedirect(reverse("admin:routing_deadletter_causes"))

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        common = {**self.admin.admin_site.each_context(request), "opts": self.admin.opts}
        return TemplateResponse(request, template, {**common, **context})


def _mistake(text: str) -> str:
    if not text:
        return _("There is nothing in it.")
    if "\0" in text:
        return _("It holds a NUL, which the database does not take. Take it out.")
    if len(text) > LONGEST_NOTE:
        return _("It is %(length)s characters long. At most %(longest)s are kept; shorten it, or note where it is.") % {
            "length": grouped(len(text)),
            "longest": grouped(LONGEST_NOTE),
        }
    return ""
