"""Erasures in the admin: when somebody's payloads were erased, on whose word, and how many."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from routing.console import html
from routing.console.number_words import grouped
from routing.console.read_only import ReadOnlyAdmin
from routing.ledger.erasure_tables import Erasure


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    icon = "person_remove"
    list_display = ("started", "by", "reference", "state", "erased")
    ordering = ("-pk",)
    fields = ("started", "by", "reference", "state", "erased")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("started"), ordering="pk")
    def started(self, erasure: Erasure) -> SafeString:
        return html.clock(erasure.started_at)

    @admin.display(description=gettext_lazy("state"))
    def state(self, erasure: Erasure) -> str:
        return _("done") if erasure.ended_at else _("runs, or was stopped; the same command goes on")

    @admin.display(description=gettext_lazy("erased"))
    def erased(self, erasure: Erasure) -> SafeString | str:
        counts: dict[str, Any] = erasure.counts
        lines = [(grouped(count), kind) for kind, count in counts.items() if count]
        return format_html_join(mark_safe("<br>"), "{} {}", lines) or _("nothing")
