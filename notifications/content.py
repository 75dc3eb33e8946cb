"""What a recipient reads: subject, text and HTML, of a template's version or as it was given."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from django.utils import translation

from notifications import channels, consent, languages
from notifications.consent import footer
from notifications.problems import InvalidNotification, Problem
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


def sources(notification: Notification, *, language: str) -> Sources | None:
    """The templates to fill in; None where it says the same to everybody."""
    if notification.template:
        return Sources(**notification.template.said_in(language))
    if not notification.is_merge:
        return None
    return Sources(subject=notification.subject, text=notification.text, html=notification.html)


def of(delivery: Delivery, *, secrets: Mapping[str, Any] | None = None) -> Content:
    """What this recipient reads, in their language, whoever looks; with masks in it unless ``secrets`` are given.

    Raises UnusableTemplate.
    """
    with translation.override(languages.spoken(delivery.language)):
        return _of(delivery, secrets)


def _of(delivery: Delivery, secrets: Mapping[str, Any] | None) -> Content:
    notification = delivery.notification
    found = sources(notification, language=languages.spoken(delivery.language))
    if found is None:
        said = _same_to_all(notification.subject, notification.text, notification.html)
    else:
        given = {**notification.context, **delivery.context, **(secrets or {})}
        said = finished(*rendered(found, {**given, **consent.values(delivery)}))
    if not channels.get(delivery.channel).has_footer:
        return said
    return Content(said.subject, *footer.under(said.text, said.html, delivery=delivery))


def filled_in(sources: Sources, values: Mapping[str, Any], *, language: str = "") -> Content:
    """With dates and numbers as readers of that language write them. Raises UnusableTemplate."""
    with translation.override(languages.spoken(language)):
        return finished(*rendered(sources, values))


def problems(said: Content, *, channel: str, sender: str = "") -> Iterator[Problem]:
    """What its channel cannot carry."""
    found = channels.get(channel).problems(
        subject=said.subject,
        text=said.text,
        html=said.html,
        sender=sender or _ANYBODY,
        reply_to=(),
    )
    yield from found


def require(said: Content, *, channel: str, sender: str = "") -> None:
    """Raises InvalidNotification for what its channel cannot carry."""
    if found := list(problems(said, channel=channel, sender=sender)):
        raise InvalidNotification(found)


def finished(subject: str, text: str, html: str) -> Content:
    """With its CSS inlined, and a text made from the HTML where none was given.

    After filling in: what values add, such as the rows of a table, is styled by rules that count rows, too.
    """
    if html and not text.strip():
        text = text_part.of(html)
    if "<style" in html.lower():
        # Half a surrogate pair cannot be inlined, nor sent: its channel says so.
        with suppress(UnicodeEncodeError):
            html = _inliner().inline(html)
    return Content(subject.strip(), text, html)


_ANYBODY = "somebody@example.org"
_same_to_all = lru_cache(maxsize=32)(finished)
"""Of a notification without values, for one recipient after the other."""


@cache
def _inliner() -> Any:
    # Here, since most processes send nothing.
    import css_inline

    return css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
