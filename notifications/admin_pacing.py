"""Limits and circuits in the admin: how each gate stands, and a host that is down tried at once."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy, ngettext

from notifications.pacing import deciding, gate_rows, standing
from notifications.pacing.standing import Standing
from notifications.pacing.tables import Gate
from routing.console import html
from routing.console.read_only import ReadOnlyAdmin, ReadOnlyList
from routing.console.verdict import Verdict


class GateList(ReadOnlyList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        seen = {one.name: one for one in standing.standings()}
        self.verdict = _verdict(list(seen.values()))
        for gate in self.result_list:
            gate.seen = seen[gate.pk]


@admin.register(Gate)
class GateAdmin(ReadOnlyAdmin):
    icon = "speed"
    menu_title = gettext_lazy("Limits and hosts")
    list_display = ("name", "limit", "host", "waiting")
    list_display_links = None
    ordering = ("name",)
    actions = ("try_selected", "space_selected")
    list_before_template = "notifications/gate_list_head.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[GateList]:
        return GateList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        if absent := standing.expected() - set(Gate.objects.values_list("name", flat=True)):
            gate_rows.ensure(sorted(absent))
        title = {"title": gettext("Limits and hosts")}
        page: TemplateResponse = super().changelist_view(request, {**title, **(extra_context or {})})
        return page

    def has_decide_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm("notifications.change_gate"))

    @admin.action(description=gettext_lazy("Try selected hosts now"), permissions=["decide"])
    def try_selected(self, request: HttpRequest, chosen: QuerySet[Gate]) -> None:
        tried = self._done(request, chosen, deciding.try_now, gettext("Tried at once."))
        said = ngettext("%(count)d host is tried now.", "%(count)d hosts are tried now.", len(tried))
        if tried:
            messages.success(request, said % {"count": len(tried)})
        else:
            messages.warning(request, gettext("None of these is down; there is nothing to try."))

    @admin.action(description=gettext_lazy("Give what waits the pace of today's limit"), permissions=["decide"])
    def space_selected(self, request: HttpRequest, chosen: QuerySet[Gate]) -> None:
        count = sum(self._done(request, chosen, deciding.space_anew, gettext("Spaced anew.")).values())
        said = ngettext(
            "%(count)d delivery comes back at today's pace, from now on.",
            "%(count)d deliveries come back at today's pace, from now on.",
            count,
        )
        messages.success(request, said % {"count": count})

    def _done(
        self, request: HttpRequest, chosen: QuerySet[Gate], deed: Callable[[str], int], told: str
    ) -> dict[str, int]:
        """What came of it, by name, where anything did."""
        done = dict[str, int]()
        for gate in chosen.order_by("pk"):
            # What was done is in the log, or it was not done.
            with transaction.atomic():
                if count := deed(gate.pk):
                    self.log_change(request, gate, told)
                    done[gate.pk] = count
        return done

    @admin.display(description=gettext_lazy("limit"))
    def limit(self, gate: Any) -> str:
        return str(gate.seen.limit or html.NOTHING)

    @admin.display(description=gettext_lazy("host"))
    def host(self, gate: Any) -> SafeString | str:
        seen: Standing = gate.seen
        if ":" not in seen.name:
            return html.NOTHING
        return format_html('<span class="console-label console-label-{}" title="{}">{}</span>', *_label(seen))

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, gate: Any) -> str:
        return gate.seen.waiting_words or html.NOTHING


def _label(seen: Standing) -> tuple[str, str, str]:
    """Its colour, what it says when pointed at, and its words."""
    if seen.is_probing:
        return "danger", seen.error, gettext("down, being tried")
    if seen.down_since is not None:
        return "danger", seen.error, gettext("down, tried at %(at)s") % {"at": standing.clock(seen.probe_at)}
    if seen.failures:
        failed = ngettext("failed once", "failed %(count)d times in a row", seen.failures)
        return "warning", seen.error, failed % {"count": seen.failures}
    return "success", "", gettext("answers")


def _verdict(seen: list[Standing]) -> Verdict:
    down = [one.sentence for one in seen if one.sentence]
    limited = sum(1 for one in seen if one.limit)
    if down:
        said = ngettext("%(count)d host is down.", "%(count)d hosts are down.", len(down)) % {"count": len(down)}
        others = gettext("What is meant for others goes out.")
        return Verdict("look", f"{said} {others}", down)
    if not limited:
        return Verdict("good", gettext("No host is down. There is no limit; NOTIFICATIONS_LIMITS declares them."))
    kept = ngettext("%(count)d limit is kept.", "%(count)d limits are kept.", limited) % {"count": limited}
    well = gettext("No host is down.")
    return Verdict("good", f"{well} {kept}")
