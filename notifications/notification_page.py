"""A notification as a page to read: what was said, to how many, and how far it has come."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.db.models import Count
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from notifications import categories, deciding, reproducing
from notifications.delivery_page import Link, deliveries_url, page_url
from notifications.delivery_words import UNDECIDED, day_and_time
from notifications.tables import Attachment, Delivery, Notification
from routing.console import html, page_parts
from routing.console.number_words import grouped
from routing.console.page_parts import Value
from routing.console.verdict import Verdict

State = Delivery.State
_TONES = {State.FAILED: "bad", State.BOUNCED: "bad", State.SUPPRESSED: "look"}


@dataclass(frozen=True)
class Figure:
    """So many of its deliveries are in a state."""

    name: str
    count: int
    tone: str
    url: str


@dataclass(frozen=True)
class NotificationPage:
    verdict: Verdict
    figures: list[Figure]
    done: int
    total: int
    values: list[Value]
    frame: str
    files: list[Attachment]
    problem: str
    facts: list[Link]
    history: list[LogEntry]
    pending: int


def notification_page(row: Notification) -> NotificationPage:
    counts = counted(row)
    total = sum(counts.values())
    open_ones = counts.get(State.PENDING, 0) + counts.get(State.SENDING, 0)
    return NotificationPage(
        verdict=_verdict(row, counts, total),
        figures=list(_figures(row, counts)),
        done=total - open_ones,
        total=total,
        values=list(_values(row)),
        frame=reproducing.framed(row.html) if row.html and not row.is_merge else "",
        files=list(row.attachments.order_by("pk")),
        problem=_emptied(row),
        facts=list(_facts(row)),
        history=list(history(row)),
        pending=counts.get(State.PENDING, 0),
    )


def counted(row: Notification) -> dict[str, int]:
    """Deliveries by state."""
    mine = Delivery.objects.filter(notification=row).order_by()
    return dict(mine.values_list("state").annotate(Count("pk")))


def history(row: Notification) -> Any:
    mine = LogEntry.objects.filter(content_type=get_content_type_for_model(row), object_id=str(row.pk))
    return mine.select_related("user").order_by("-action_time")[:20]


def _verdict(row: Notification, counts: dict[str, int], total: int) -> Verdict:
    sent, failed = counts.get(State.SENT, 0), counts.get(State.FAILED, 0) + counts.get(State.BOUNCED, 0)
    told = {"sent": grouped(sent), "total": grouped(total)}
    sentence = ngettext("Sent to %(sent)s of %(total)s recipient.", "Sent to %(sent)s of %(total)s recipients.", total)
    if not total:
        sentence = _("It has no recipient yet.") if not row.is_complete else _("Its deliveries are gone.")
    tone = "bad" if failed else "good" if total and sent == total else "look"
    return Verdict(tone, sentence % told, list(_details(row, counts)))


def _details(row: Notification, counts: dict[str, int]) -> Iterator[str]:
    if row.cancelled_at:
        yield _("It was cancelled on %(when)s.") % {"when": day_and_time(row.cancelled_at)}
    elif not row.is_complete:
        words = _("Not all of its recipients are stored yet: %(count)s have been gone through.")
        yield words % {"count": grouped(row.consumed)}
    if row.send_at and row.send_at > timezone.now() and counts.get(State.PENDING):
        yield _("It is to be sent on %(when)s.") % {"when": day_and_time(row.send_at)}


def _figures(row: Notification, counts: dict[str, int]) -> Iterator[Figure]:
    undecided = deciding.undecided().filter(notification=row).count() if counts.get(State.SENDING) else 0
    for state in State:
        count = counts.get(state, 0) - (undecided if state == State.SENDING else 0)
        if count:
            url = deliveries_url(notification=row.pk, state=state.value)
            yield Figure(str(state.label).capitalize(), count, _TONES.get(state, ""), url)
    if undecided:
        url = deliveries_url(notification=row.pk, state=UNDECIDED.word)
        yield Figure(str(UNDECIDED.word).capitalize(), undecided, "look", url)


def _values(row: Notification) -> Iterator[Value]:
    version = row.template
    if version:
        yield page_parts.text(_("Subject, as a template"), version.subject)
    elif row.subject:
        yield page_parts.text(_("Subject, as a template") if row.is_merge else _("Subject"), row.subject)
    if row.context:
        values = json.dumps(row.context, indent=2, ensure_ascii=False)
        yield page_parts.text(_("Values for all recipients"), values)
    for name, text in ((_("Text"), row.text), (_("HTML"), row.html if row.is_merge else "")):
        if text:
            yield page_parts.text(_("%(name)s, as a template") % {"name": name} if row.is_merge else name, text)


def _emptied(row: Notification) -> str:
    if row.emptied_at is None:
        return ""
    day = date_format(timezone.localtime(row.emptied_at))
    return _("The clean-up has removed what else it said on %(day)s.") % {"day": day}


def _facts(row: Notification) -> Iterator[Link]:
    category = categories.registry().get(row.category)
    yield Link(_("Deliveries"), grouped(row.recipients), deliveries_url(notification=row.pk))
    if row.template:
        yield Link(_("Template"), str(row.template), page_url("template", row.template.template_id))
    if row.key:
        yield Link(_("Key"), row.key)
    yield Link(_("From"), row.from_email)
    if row.reply_to:
        yield Link(_("Answers go to"), ", ".join(row.reply_to))
    yield Link(_("Category"), str(category.title) if category else row.category)
    yield Link(_("Channel and lane"), f"{row.channel}, {row.lane}")
    yield Link(_("Created"), html.plain_clock(row.created_at))
    if row.created_by:
        yield Link(_("Created by"), row.created_by)
    if row.send_at:
        yield Link(_("To be sent at"), html.plain_clock(row.send_at))
    yield Link(_("Id"), str(row.pk))
