"""The theme's table of a list, row for row as it makes it, in a fraction of the time.

The theme makes the head anew for each row, and a checkbox from templates: of a page of fifty rows that is most of the
time. Here both are made once, and what is left is what the rows say.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.urls import reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from unfold.templatetags.unfold_list import CHECKBOX_CLASSES, LINK_CLASSES, ROW_CLASSES, result_headers

from routing.console import html

_ROW = "--row--"


class Row(list[SafeString]):
    """Its cells, and what the theme's template asks of it."""

    form = None

    def __init__(self, instance: Any, cells: Iterator[SafeString]) -> None:
        super().__init__([mark_safe("".join(cells))])  # noqa: S308  (each of them is safe)
        self.instance = instance


def context(cl: Any) -> dict[str, Any]:
    """What ``admin/change_list_results.html`` asks for."""
    headers = list(result_headers(cl))
    ends = [_ends(cl, name, header["text"]) for name, header in zip(cl.list_display, headers, strict=True)]
    url = _url(cl)
    return {
        "cl": cl,
        "result_hidden_fields": [],
        "result_headers": headers,
        "num_sorted_fields": 0,
        "results": [Row(row, _cells(cl, row, ends, url)) for row in cl.result_list],
        "has_add_permission": False,
    }


def _cells(cl: Any, row: Any, ends: list[tuple[str, str]], url: str) -> Iterator[SafeString]:
    for name, (beginning, end) in zip(cl.list_display, ends, strict=True):
        value = getattr(cl.model_admin, name)(row)
        shown = conditional_escape(html.NOTHING if value in (None, "") else value)
        if name in cl.list_display_links:
            shown = format_html('<a href="{}" class="{}">{}</a>', url.replace(_ROW, str(row.pk), 1), _LINK, shown)
        yield mark_safe(f"{beginning}{shown}{end}")  # noqa: S308  (escaped above)


def _ends(cl: Any, name: str, title: Any) -> tuple[str, str]:
    """The cell's tags."""
    tag = "th" if name in cl.list_display_links else "td"
    chooses = name == "action_checkbox"
    classes = CHECKBOX_CLASSES if chooses else [f"field-{name}", *ROW_CLASSES]
    label = _("Select record") if chooses else capfirst(str(title))
    return format_html('<{} class="{}" data-label="{}">', tag, " ".join(classes), label), f"</{tag}>"


def _url(cl: Any) -> str:
    """Of a row's page, with the way back to this list."""
    plain = reverse(f"admin:{cl.opts.app_label}_{cl.opts.model_name}_change", args=[_ROW])
    return str(add_preserved_filters({"preserved_filters": cl.preserved_filters, "opts": cl.opts}, plain))


_LINK = " ".join(LINK_CLASSES)
