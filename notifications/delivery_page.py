"""A delivery as a page to read: the answer, the attempts, and the message as it went out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from notifications import categories, delivery_deeds, reproducing
from notifications.delivery_words import DeliveryRow, answer, suppression
from notifications.reproducing import Reproduced
from notifications.tables import Attachment, Attempt, Delivery
from routing.console import html, page_parts
from routing.console.page_parts import Relative, Value
from routing.console.result_rows import Span, StateWord
from routing.console.verdict import Verdict

OTHERS = 10
"""Other deliveries to the address that the page counts; the list has all of them."""
_OUTCOMES = {
    Attempt.Outcome.ACCEPTED: "success",
    Attempt.Outcome.TEMPORARY: "warning",
    Attempt.Outcome.PERMANENT: "danger",
    Attempt.Outcome.UNREACHABLE: "warning",
    Attempt.Outcome.UNKNOWN: "warning",
}


@dataclass(frozen=True)
class Try:
    """An attempt, as the timeline shows it."""

    row: Attempt
    label: StateWord
    took: Span | None
    task: Relative | None


@dataclass(frozen=True)
class Link:
    name: str
    words: str
    url: str = ""


@dataclass(frozen=True)
class Letter:
    """The message. ``note`` tells whether it is what went out."""

    headers: list[tuple[str, str]]
    text: Value
    frame: str
    files: list[Attachment]
    note: str
    is_other: bool


@dataclass(frozen=True)
class DeliveryPage:
    verdict: Verdict
    state: StateWord
    tries: list[Try]
    letter: Letter | None
    problem: str
    facts: list[Link]
    history: list[LogEntry]


def delivery_page(seen: DeliveryRow) -> DeliveryPage:
    row = seen.row
    attempts = list(row.attempts.order_by("number"))
    made = reproducing.reproduce(row)
    return DeliveryPage(
        verdict=answer(seen, attempts[-1] if attempts else None),
        state=seen.state,
        tries=list(_tries(attempts)),
        letter=_letter(row, made),
        problem=made.problem,
        facts=list(_facts(row)),
        history=list(delivery_deeds.history(row)[:20]),
    )


def deliveries_url(**filters: Any) -> str:
    return f"{reverse('admin:notifications_delivery_changelist')}?{urlencode(filters)}"


def page_url(name: str, key: Any) -> str:
    """Of a row of another page of the admin; empty where there is no such page."""
    try:
        return reverse(f"admin:notifications_{name}_change", args=[key])
    except NoReverseMatch:
        return ""


def _tries(attempts: list[Attempt]) -> Iterator[Try]:
    ids = dict.fromkeys(attempt.task_id for attempt in attempts if attempt.task_id)
    tasks = {one.task_id: one for one in page_parts.relatives([(_("Task"), one) for one in ids], but="")}
    for attempt in attempts:
        tone = _OUTCOMES.get(Attempt.Outcome(attempt.outcome), "") if attempt.outcome else "info"
        word = attempt.get_outcome_display() if attempt.outcome else _("goes on, or its worker died")
        took = attempt.ended_at - attempt.started_at if attempt.ended_at else None
        span = Span(max(took, timedelta())) if took is not None else None
        yield Try(attempt, StateWord(attempt.outcome, word, tone), span, tasks.get(attempt.task_id))


def _letter(row: Delivery, made: Reproduced) -> Letter | None:
    if made.content is None:
        return None
    return Letter(
        headers=reproducing.headers(row, made.content),
        text=page_parts.text(_("Text"), reproducing.text(row, made.content), folds=False),
        frame=reproducing.framed(made.content.html) if made.content.html else "",
        files=list(row.notification.attachments.order_by("pk")),
        note=_note(row, made),
        is_other=made.is_identical is False,
    )


def _note(row: Delivery, made: Reproduced) -> str:
    if made.is_identical is None:
        return _("Nothing has gone out; this is what would.")
    if not made.is_identical:
        return _(
            "This is not exactly what went out: made again from the same template and values, it comes out different, "
            "such as after an upgrade."
        )
    if row.notification.template and row.notification.template.secret:
        return _("This is exactly what went out, but for its secret values, which are masked.")
    return _("This is exactly what went out.")


def _facts(row: Delivery) -> Iterator[Link]:
    notification, version = row.notification, row.notification.template
    category = categories.registry().get(notification.category)
    yield Link(_("Notification"), str(notification), page_url("notification", notification.pk))
    if notification.key:
        yield Link(_("Its key"), notification.key)
    if version:
        yield Link(_("Template"), str(version), page_url("template", version.template_id))
    yield _others(row)
    if suppressed := suppression(row.address_key, channel=row.channel):
        words = _("%(why)s, since %(when)s") % {
            "why": suppressed.get_reason_display(),
            "when": html.plain_clock(suppressed.created_at),
        }
        yield Link(_("The address is suppressed"), words, page_url("suppression", suppressed.pk))
    yield from _task(row)
    yield Link(_("Category"), str(category.title) if category else notification.category)
    if row.language:
        yield Link(_("Language"), str(dict(settings.LANGUAGES).get(row.language, row.language)))
    yield Link(_("Channel and lane"), f"{row.channel}, {notification.lane}")
    yield Link(_("Message-ID"), row.message_id)
    yield Link(_("Delivery"), str(row.pk))
    yield Link(_("Asked for"), html.plain_clock(row.created_at))
    if notification.send_at:
        yield Link(_("To be sent at"), html.plain_clock(notification.send_at))
    if row.resent_at:
        yield Link(_("Asked for again"), html.plain_clock(row.resent_at))


def _others(row: Delivery) -> Link:
    others = Delivery.objects.filter(address_key=row.address_key).exclude(pk=row.pk)[: OTHERS + 1].count()
    if not others:
        return Link(_("Others to this address"), _("none"))
    count = str(others) if others <= OTHERS else _("more than %(count)d") % {"count": OTHERS}
    return Link(_("Others to this address"), count, deliveries_url(q=row.address_key))


def _task(row: Delivery) -> Iterator[Link]:
    for task in page_parts.relatives([(_("Task"), row.task_id)], but=""):
        words = f"{row.task_id} ({task.state.word})" if task.state else row.task_id
        yield Link(_("Task"), words, task.url)
