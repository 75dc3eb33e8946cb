"""The lines under a message by which its recipient can unsubscribe, unless it says so itself."""

from django.utils.html import format_html
from django.utils.translation import gettext as _

from notifications import categories
from notifications.consent.rules import reader
from notifications.tables import Delivery

_STYLE = "margin:32px 0 0;padding-top:12px;border-top:1px solid #d4d4d8;color:#71717a;font:13px/1.5 sans-serif"


def under(text: str, html: str, *, delivery: Delivery) -> tuple[str, str]:
    """Text and HTML with the links, where the category is not required and they have none."""
    category = categories.get(delivery.notification.category)
    if category.required:
        return text, html
    mine = reader(delivery, category)
    links = (mine.unsubscribe_url, mine.preferences_url)
    why = _("You get this e-mail as part of “%(category)s”.") % {"category": category.title}
    if not _has(text, links):
        text = _text(text, why, *links)
    if html and not _has(html, links):
        html = _html(html, why, *links)
    return text, html


def _has(said: str, links: tuple[str, str]) -> bool:
    return any(link in said for link in links)


def _text(said: str, why: str, unsubscribe: str, preferences: str) -> str:
    ways = _("Unsubscribe: %(url)s") % {"url": unsubscribe}, _("All your choices: %(url)s") % {"url": preferences}
    lines = ("", "-- ", why, *ways)
    return said.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def _html(said: str, why: str, unsubscribe: str, preferences: str) -> str:
    link = '<a href="{}" style="color:#71717a">{}</a>'
    line = format_html(
        '<p style="{}">{} {} · {}</p>',
        _STYLE,
        why,
        format_html(link, unsubscribe, _("Unsubscribe")),
        format_html(link, preferences, _("All your choices")),
    )
    end = said.lower().rfind("</body>")
    return said[:end] + line + said[end:] if end >= 0 else said + line
