"""A report as an e-mail: rendered and stored once for all who get the same edition; each mail names these files.

A file is called after its digest and never written again: a mail says what it said when it was enqueued.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from celery import current_app
from django.utils import translation
from django.utils.translation import gettext as _

from reporting import forms, links
from reporting.documents.document import Document
from reporting.forms.shape import Footer
from reporting.runs import attaching, storage
from reporting.runs.tables import ReportEdition

TASK = "notifications.notify"
CATEGORY = "reports"
LANE = "bulk"
"""Reports wait behind nobody's password reset."""
LONGEST_KEY = 160
"""That of a notification is 200 long; a task's id may come behind it."""
_MANAGE = "https://reports.invalid/manage"
"""Stands for the link of each."""


@dataclass(frozen=True)
class Letter:
    """``text``, ``html`` and ``attachments`` are files of the storage, as the task takes them."""

    subject: str
    text: Mapping[str, str]
    html: Mapping[str, str]
    attachments: tuple[Mapping[str, str], ...] = ()
    language: str = "en"

    def kwargs(self, address: str, *, key: str, manage_url: str = "", lane: str = LANE) -> dict[str, Any]:
        """Of the task that mails it. The same key again sends nothing again."""
        more: dict[str, Any] = {"attachments": list(self.attachments)} if self.attachments else {}
        # A worker of the release before knows nothing of languages.
        more |= {"language": self.language} if self.language != "en" else {}
        return {
            "to": [address],
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "fill_in": {_MANAGE: manage_url},
            "category": CATEGORY,
            "key": key,
            "lane": lane,
            **more,
        }


def of_edition(edition: ReportEdition, *, attached: str = "") -> Letter:
    """For those who are subscribed and have chosen these files."""
    document = Document.from_json(edition.document)
    with translation.override(document.language):
        reason = _("You are subscribed to this report.")
    footer = Footer(web_url=links.page_url(edition.pk), manage_url=_MANAGE, reason=reason)
    return _letter(document, footer, attached=attached)


def of_document(document: Document, *, reason: str = "", attached: str = "") -> Letter:
    """For somebody who has asked for it once."""
    return _letter(document, Footer(reason=reason), attached=attached)


def send(mails: Mapping[str, Mapping[str, Any]]) -> None:
    """Enqueue the task of each, by its id, in the caller's transaction.

    The domain that mails them is reached by the task's name alone.
    """
    if mails:
        current_app.enqueue_many(TASK, list(mails.values()), task_ids=list(mails))  # type: ignore[attr-defined]


def key(report: str, period: str, address: str) -> str:
    """``weekly:2026-W46:ann@example.org``; of an address that is too long for a key, what stands for it."""
    whole = f"{report}:{period}:{address.lower()}"
    if len(whole) <= LONGEST_KEY:
        return whole
    return f"{report}:{period}:{hashlib.sha256(address.lower().encode()).hexdigest()}"


def _letter(document: Document, footer: Footer, *, attached: str) -> Letter:
    with translation.override(document.language):
        with_it = attaching.attached(document, attached)
    said = replace(document, notes=(*document.notes, *with_it.left_out))

    def kept(name: str) -> dict[str, str]:
        form = forms.named(name)
        return storage.keep_letter(said, form.render(said, footer=footer), suffix=form.suffix)

    return Letter(document.subject, kept("text"), kept("html"), with_it.files, document.language)
