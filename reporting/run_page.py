"""A report's run as a page to read: what it says, how far it has come, its files, and who was sent it and when."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.db.models import F
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from reporting import downloads, forms, links, mail_states, reports
from reporting.documents.cells import Tone
from reporting.documents.document import Document
from reporting.mail_states import MailState
from reporting.runs.tables import LATE_AFTER, ReportDelivery, ReportEdition, ReportRun
from routing.console import html, page_parts
from routing.console.page_parts import Value
from routing.console.result_rows import StateWord
from routing.console.verdict import Verdict

SHOWN = 50
"""Deliveries on the page; the list has all of them."""
FRAME_POLICY = "img-src 'self' data:; media-src 'none'; object-src 'none'; frame-src 'self'; form-action 'self'"
State = ReportRun.State
_TONES = {
    State.BUILDING: "info",
    State.FAILED: "danger",
    State.BUILT: "info",
    State.SENDING: "info",
    State.SENT: "success",
}


@dataclass(frozen=True)
class Shown:
    """An edition. ``frame`` is its HTML, empty where there is none."""

    row: ReportEdition
    name: str
    verdict: str
    tone: str
    frame: str
    web_url: str
    files: list[tuple[str, str]]
    data: Value


@dataclass(frozen=True)
class RunPage:
    title: str
    state: StateWord
    verdict: Verdict
    is_building: bool
    progress: int
    step: str
    figures: list[tuple[str, int, str]]
    editions: list[Shown]
    deliveries: list[tuple[ReportDelivery, MailState | None]]
    deliveries_url: str
    left_out: int
    facts: list[tuple[str, str]]
    history: list[LogEntry]
    old: Value | None


def run_page(run: ReportRun) -> RunPage:
    rows = run.deliveries.order_by("-enqueued_at", "address")
    total = rows.count()
    editions = [_shown(edition) for edition in run.editions.all()]
    return RunPage(
        title=title(run),
        state=state_word(run),
        verdict=_verdict(run, editions),
        is_building=run.progress < 100,
        progress=run.progress,
        step=run.step,
        figures=list(_figures(run)),
        editions=editions,
        deliveries=with_states(list(rows[:SHOWN])),
        deliveries_url=_list_url(run),
        left_out=max(total - SHOWN, 0),
        facts=list(_facts(run)),
        history=list(_history(run)),
        old=_value(run.figures) if run.figures else None,
    )


def title(run: ReportRun) -> str:
    report = reports.reports().get(run.report)
    return f"{report.title if report else run.report}, {run.period}"


def with_states(rows: list[ReportDelivery]) -> list[tuple[ReportDelivery, MailState | None]]:
    """What became of the mail of each, as far as that is known."""
    states = mail_states.of([row.key for row in rows])
    return [(row, states.get(row.key)) for row in rows]


def state_word(run: ReportRun) -> StateWord:
    return StateWord(run.state, run.get_state_display(), _TONES.get(State(run.state), ""))


def _verdict(run: ReportRun, editions: list[Shown]) -> Verdict:
    sentence = next((shown.verdict for shown in editions if not shown.row.domains), str(_sentence(run)))
    details = []
    if run.problem:
        details.append(
            _("It could not be built: %(why)s. It is tried again every few minutes.") % {"why": run.problem.rstrip(".")}
        )
    if run.corrected_at:
        details.append(_("It was corrected; who had it before may have other figures."))
    return Verdict(_tone(run, editions), sentence, details)


def _tone(run: ReportRun, editions: list[Shown]) -> str:
    if run.problem:
        return "bad"
    said = [shown.tone for shown in editions]
    return "look" if not said or Tone.BAD in said or run.corrected_at else "good"


def _sentence(run: ReportRun) -> Any:
    if run.figures:
        return _("It was made by an earlier release; its figures are kept as they are.")
    return _("It is not built yet.")


def _figures(run: ReportRun) -> Iterator[tuple[str, int, str]]:
    """What, how many, and where they are listed."""
    rows, url = run.deliveries, _list_url(run)
    yield _("Handed over"), rows.exclude(enqueued_at=None).count(), f"{url}&became=sent"
    if late := rows.filter(enqueued_at__gt=F("due_at") + LATE_AFTER).count():
        yield _("Handed over late"), late, f"{url}&became=late"
    if quiet := rows.exclude(withheld="").count():
        yield _("Nothing to tell"), quiet, f"{url}&became=quiet"


def _shown(edition: ReportEdition) -> Shown:
    document = Document.from_json(edition.document)
    files = [(title, _file_url(edition, name)) for name, title in downloads.offered(edition)]
    return Shown(
        row=edition,
        name=str(edition),
        verdict=document.verdict,
        tone=document.tone,
        frame=forms.named("html").render(document).decode() if not edition.domains else "",
        web_url=links.page_url(edition.pk),
        files=[*files, ("JSON", _file_url(edition, "data"))],
        data=_value(edition.document),
    )


def _value(stored: Any) -> Value:
    return page_parts.text(_("Figures as data"), json.dumps(stored, indent=2, ensure_ascii=False), folds=True)


def _facts(run: ReportRun) -> Iterator[tuple[str, str]]:
    yield _("Report"), run.report
    yield _("Period"), run.period
    yield _("Begun") if run.state == State.BUILDING else _("Built"), html.plain_clock(run.built_at)
    if run.corrected_at:
        yield _("Corrected"), html.plain_clock(run.corrected_at)
    yield _("Editions"), str(run.editions.count())


def _history(run: ReportRun) -> Any:
    mine = LogEntry.objects.filter(content_type=get_content_type_for_model(run), object_id=str(run.pk))
    return mine.select_related("user").order_by("-action_time")[:20]


def _file_url(edition: ReportEdition, form: str) -> str:
    return reverse("admin:reporting_reportedition_file", args=[edition.pk, form])


def _list_url(run: ReportRun) -> str:
    chosen = urlencode({"q": run.period, "run__report": run.report})
    return f"{reverse('admin:reporting_reportdelivery_changelist')}?{chosen}"
