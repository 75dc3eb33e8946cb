"""What a recipient reads: subject, text and HTML, of a template's version or as it was given."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import css_inline

from notifications import consent
from notifications.consent import footer
from notifications.tables import Delivery, Notification
from notifications.templating import text_part
from notifications.templating.rendering import Sources, rendered


@dataclass(frozen=True)
class Content:
    subject: str
    text: str
    html: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps([self.subject, self.text, self.html]).encode()).hexdigest()


def sources(notification: Notification) -> Sources | None:
    """The templates to fill in; None where it says the same to everybody."""
    of = notification.template or (notification if notification.is_merge else None)
    return Sources(subject=of.subject, text=of.text, html=of.html) if of else None


def of(delivery: Delivery, *, secrets: Mapping[str, Any] | None = None) -> Content:
    """What this recipient reads; with masks in it unless ``secrets`` are given. Raises UnusableTemplate."""
    notification = delivery.notification
    found = sources(notification)
    if found is None:
        said = finished(notification.subject, notification.text, notification.html)
    else:
        values = {**notification.context, **delivery.context, **(secrets or {}), **consent.values(delivery)}
        said = finished(*rendered(found, values))
    return Content(said.subject, *footer.under(said.text, said.html, delivery=delivery))


def finished(subject: str, text: str, html: str) -> Content:
    """With its CSS inlined, and a text made from the HTML where none was given."""
    if html:
        html = _inlined(html)
        text = text if text.strip() else text_part.of(html)
    return Content(subject.strip(), text, html)


@lru_cache(maxsize=32)
def _inlined(html: str) -> str:
    # The same for all recipients of a notification without values, one after the other.
    return css_inline.CSSInliner(load_remote_stylesheets=False).inline(html)
