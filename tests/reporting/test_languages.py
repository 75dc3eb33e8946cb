"""Reports in the language of whoever reads them, whatever that of the process that makes them."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import translation

from reporting import links, reports, wording
from reporting.documents.blocks import Link
from reporting.documents.document import Document
from reporting.forms import named
from reporting.models import ReportEdition, Subscription
from reporting.runs import building, ordering, sending
from reporting.runs.tables import Choice
from reporting.weeks import Week
from tests.reporting import fortnight, full_week
from tests.reporting.full_week import AFTER, WEEK
from tests.reporting.subscribers import mails, subscribe

pytestmark = pytest.mark.django_db

WEEKLY = reports.named("weekly")
FRENCH = Choice("", "fr")
NB = "\N{NO-BREAK SPACE}"


@pytest.fixture(autouse=True)
def _spoken(settings: Any, tmp_path: Path) -> Iterator[None]:
    """A request leaves its language to the thread that served it."""
    settings.MEDIA_ROOT = tmp_path
    with translation.override("en"):
        yield


def french(week: Week = WEEK) -> Document:
    with translation.override("fr"):
        return full_week.build(week)


def said(mail: dict[str, Any], name: str) -> str:
    with default_storage.open(mail[name]["storage_name"]) as file:
        return str(file.read().decode())


def test_each_gets_it_in_their_own_language() -> None:
    subscribe("ann@example.org")
    subscribe("anne@example.org", language="fr")
    subscribe("bruno@example.org", language="fr")

    ordering.send_now(WEEKLY, WEEK, now=AFTER)

    found = {mail["to"][0]: mail for mail in mails()}
    assert found["ann@example.org"]["subject"] == "Taskyard week 46: no task finished"
    assert found["anne@example.org"]["subject"] == f"Taskyard, semaine 46{NB}: aucune tâche terminée"
    assert '<html lang="fr">' in said(found["anne@example.org"], "html")
    assert "Vous êtes abonné à ce rapport." in said(found["anne@example.org"], "text")
    assert "You are subscribed to this report." in said(found["ann@example.org"], "text")
    # One edition for all who read the same.
    assert found["anne@example.org"]["html"] == found["bruno@example.org"]["html"]
    assert ReportEdition.objects.count() == 2
    assert translation.get_language() == "en"


def test_a_second_reader_in_another_language_gets_the_same_week_later() -> None:
    subscribe("ann@example.org")
    ordering.send_now(WEEKLY, WEEK, now=AFTER)
    subscribe("anne@example.org", language="fr")

    for _ in range(2):
        ordering.send_now(WEEKLY, WEEK, now=AFTER + timedelta(hours=1))

    assert [mail["to"] for mail in mails()] == [["ann@example.org"], ["anne@example.org"]]


def test_it_is_sent_again_in_the_language_it_was_sent_in() -> None:
    subscribe("anne@example.org", language="fr")
    ordering.send_now(WEEKLY, WEEK, now=AFTER)
    # She changes her mind: what she had stays what it was.
    Subscription.objects.update(language="en")

    sending.send_again(building.ensure(WEEKLY, WEEK, now=AFTER), number=2)

    assert [mail["subject"][:18] for mail in mails()] == ["Taskyard, semaine "] * 2


def test_a_report_that_cannot_be_built_leaves_its_language_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(WEEKLY), "conclude", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        building.ensure(WEEKLY, WEEK, now=AFTER, choices=[FRENCH])

    assert translation.get_language() == "en"


def test_it_is_corrected_in_its_own_language() -> None:
    subscribe("anne@example.org", language="fr")
    ordering.send_now(WEEKLY, WEEK, now=AFTER)

    building.rebuild(WEEKLY, WEEK, now=AFTER + timedelta(days=1))

    notes = Document.from_json(ReportEdition.objects.get(language="fr").document).notes
    assert notes[0] == f"Corrigé{NB}: ces chiffres ont été recalculés le 17 novembre 2026, 09:00."


@pytest.mark.parametrize("form", ["html", "text"])
def test_a_form_is_drawn_in_the_documents_language(form: str) -> None:
    full_week.happen(results=200)
    document = french()

    shown = named(form).render(document).decode().replace("&nbsp;", NB)

    assert f"Semaine 46 de 2026{NB}: du 9 au 15 novembre 2026" in shown
    assert "La planification" in shown.replace("LA PLANIFICATION", "La planification")
    assert f"1{NB}204" in shown
    assert "This week" not in shown


def test_a_french_csv_has_the_figures_of_the_english_one_below_french_headings() -> None:
    full_week.happen(results=200)
    english, translated = (rows(named("csv").render(document)) for document in (full_week.build(), french()))

    assert translated[0][:6] == ["rapport", "période", "section", "groupe", "ligne", "colonne"]
    figures = [[(row[2], row[6], row[7], row[8]) for row in of[1:] if row[7] != "text"] for of in (english, translated)]
    assert figures[0] == figures[1]
    assert len(figures[0]) > 70


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


@pytest.mark.parametrize("failing", [False, True])
def test_words_of_the_french_verdict_lead_where_the_english_ones_do(failing: bool) -> None:
    if failing:
        full_week.happen(results=200)
    else:
        fortnight.store(fortnight.make(40, begin=WEEK.starts_at, end=WEEK.ends_at))

    english, translated = full_week.build(), french()

    paths = [[piece.path for piece in of.verdict_in_pieces() if piece.path] for of in (english, translated)]
    assert paths[0] == paths[1]
    assert paths[0]
    assert "".join(piece.text for piece in translated.verdict_in_pieces()) == translated.verdict


def test_a_number_in_a_verdict_is_no_part_of_a_longer_french_one() -> None:
    told = replace(french(), verdict=f"1{NB}234 tâches; 234 tâches", leads=(Link(text="234 tâches", path="/x/"),))

    assert [piece.text for piece in told.verdict_in_pieces()] == [f"1{NB}234 tâches; ", "234 tâches"]


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ["1 task", "0 tasks", "1,204 tasks", "99.5%", "<0.1%", ">99.9%", "+50%", "4.2 s", "2.0 d", "a, b and c"],
        ),
        (
            "fr",
            ["1 tâche", "0 tâche", f"1{NB}204 tâches", f"99,5{NB}%", f"<0,1{NB}%", f">99,9{NB}%", f"+50{NB}%", "4,2 s",
             "2,0 j", "a, b et c"],
        ),
    ],
)  # fmt: skip
def test_numbers_shares_and_times_are_said_as_people_there_do(language: str, words: list[str]) -> None:
    with translation.override(language):
        found = [
            *map(wording.tasks, (1, 0, 1_204)),
            *map(wording.share, (0.995, 0.0004, 0.9999)),
            wording.change(3, 2),
            *map(wording.time, (timedelta(seconds=4.2), timedelta(days=2))),
            wording.listed(["a", "b", "c"]),
        ]

    assert found == words


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("week", "words"),
    [
        (Week(2026, 46), f"Semaine 46 de 2026{NB}: du 9 au 15 novembre 2026"),
        (Week(2026, 49), f"Semaine 49 de 2026{NB}: du 30 novembre au 6 décembre 2026"),
        (Week(2026, 53), f"Semaine 53 de 2026{NB}: du 28 décembre 2026 au 3 janvier 2027"),
    ],
)
def test_weeks_are_said_in_french(week: Week, words: str) -> None:
    with translation.override("fr"):
        assert week.words == words


def test_a_page_speaks_the_visitors_language_and_caches_know(client: Client) -> None:
    url = links.subscriptions_url(subscribe().pk)
    shown = {
        wanted: client.get(url[url.index("/reports/") :], headers={"Accept-Language": wanted})
        for wanted in ("fr-CA,fr;q=0.9", "en-GB", "de", "")
    }

    titles = {wanted: answer.content.decode().partition("<h1>")[2][:12] for wanted, answer in shown.items()}
    assert titles == {
        "fr-CA,fr;q=0.9": "Vos rapports",
        "en-GB": "Your reports",
        "de": "Your reports",
        "": "Your reports",
    }
    assert all("Accept-Language" in answer["Vary"] for answer in shown.values())
    assert '<html lang="fr">' in shown["fr-CA,fr;q=0.9"].content.decode()


def test_a_reader_chooses_the_language_of_all_their_reports(client: Client) -> None:
    mine = subscribe("ann@example.org")
    subscribe("ANN@example.org", report="broken-now")
    other = subscribe("bob@example.org")
    url = links.subscriptions_url(mine.pk)
    page = url[url.index("/reports/") :]

    shown = client.post(page, {"do": f"speak-fr:{mine.pk}"}).content.decode()
    for bad in (f"speak-de:{mine.pk}", f"speak-:{mine.pk}", f"speak-fr:{other.pk}"):
        assert client.post(page, {"do": bad}).status_code == 400

    assert "Your reports come in this language from the next one on: Français." in shown
    chosen = Subscription.objects.order_by("pk").values_list("language", flat=True)
    assert list(chosen) == ["fr", "fr", "en"]


def test_the_page_of_a_report_speaks_its_readers_language_whoever_visits(client: Client) -> None:
    run = building.ensure(WEEKLY, WEEK, now=AFTER, choices=[FRENCH])
    url = links.page_url(run.editions.get().pk)

    shown = client.get(url[url.index("/reports/") :], headers={"Accept-Language": "en"}).content.decode()
    shown = shown.replace("&nbsp;", NB)

    assert f"Pour le conserver{NB}:" in shown
    assert "Texte brut" in shown
    assert "Plain text" not in shown


def test_the_command_writes_it_in_french_and_speaks_english(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("report", "weekly", "--week", "2025-W03", "--out", str(tmp_path), "--form", "text", "--language", "fr")

    assert "RAPPORT HEBDOMADAIRE" in (tmp_path / "weekly.txt").read_text()
    assert "Written, and not sent" in capsys.readouterr().out


def test_the_command_refuses_one_language_for_all_subscribers() -> None:
    with pytest.raises(CommandError, match="gets it in their own"):
        call_command("report", "weekly", "--language", "fr")


def test_a_row_of_the_release_before_is_english() -> None:
    """A worker of that release names no language when it stores one."""
    run = building.ensure(WEEKLY, WEEK, now=datetime(2026, 11, 16, 9, tzinfo=UTC))
    ReportEdition.objects.all().delete()
    columns = [field.column or "" for field in ReportEdition._meta.concrete_fields]
    columns = [column for column in columns if column not in ("id", "language")]
    names = ", ".join(columns)
    values: dict[str, Any] = {
        "run_id": run.pk,
        "domains": "",
        "document": "{}",
        "worth_sending": True,
        "files": "{}",
        "built_at": "2026-11-16 09:00:00",
    }
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(columns))
        cursor.execute(
            f"INSERT INTO reporting_reportedition ({names}) VALUES ({marks})",  # noqa: S608  (of our own columns)
            [values[column] for column in columns],
        )

    assert ReportEdition.objects.get().choice == Choice("", "en")
