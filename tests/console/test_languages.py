"""The admin in the visitor's language; programs are answered in English, whatever they ask for."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import translation
from kombu import Connection
from pytest_django import Settings

from routing.broker import inspection
from routing.broker.inspection import BrokerUnavailable
from routing.console import due_words, lives, outcome_words, read_only, survey, time_words
from routing.console.alerting import letters
from routing.console.jobs import verbs
from routing.console.lives import Life
from routing.console.number_words import grouped
from routing.console.searching.parser import parse
from routing.console.searching.permitted import permitted
from routing.console.searching.terms import Mistake
from routing.console.searching.words import Vocabulary
from routing.ledger import replay, rerouting
from routing.ledger.tables import QueuePause
from routing.worker import cancelling
from tests.api_client import Api, new_token

pytestmark = pytest.mark.django_db

FRENCH = {"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.5"}
NB, AP = "\N{NO-BREAK SPACE}", "\N{RIGHT SINGLE QUOTATION MARK}"
FRIDAY = datetime(2026, 11, 27, 21, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _spoken() -> Iterator[None]:
    """A request leaves its language to the thread that served it."""
    with translation.override("en"):
        yield


@pytest.mark.any_database
def test_the_sign_in_page_speaks_french_under_the_same_policy(client: Client) -> None:
    english, french = client.get("/admin/login/"), client.get("/admin/login/", headers=FRENCH)

    assert '<html lang="fr"' in french.content.decode()
    assert "Mot de passe" in french.content.decode()
    assert (english["Content-Language"], french["Content-Language"]) == ("en", "fr")
    assert "Accept-Language" in french["Vary"]
    policies = [re.sub(r"nonce-[^']*", "", page.get("Content-Security-Policy", "")) for page in (english, french)]
    assert policies[0] == policies[1]


@pytest.mark.any_database
def test_every_list_opens_in_french(admin_client: Client) -> None:
    opened = []
    for model in admin.site._registry:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        answer = admin_client.get(url, headers=FRENCH)
        assert answer.status_code == 200, url
        assert '<html lang="fr"' in answer.content.decode(), url
        opened.append(url)

    assert len(opened) > 15


@pytest.mark.any_database
@pytest.mark.parametrize("name", ["notifications_template_add", "reporting_subscription_add", "routing_apitoken_add"])
def test_forms_open_in_french(admin_client: Client, name: str) -> None:
    answer = admin_client.get(reverse(f"admin:{name}"), headers=FRENCH)

    assert answer.status_code == 200
    assert "Enregistrer" in answer.content.decode()


@pytest.mark.any_database
def test_the_sidebar_is_french_and_the_next_visitors_is_not(admin_client: Client) -> None:
    url = reverse("admin:reporting_reportrun_changelist")
    french = admin_client.get(url, headers=FRENCH).content.decode()
    english = admin_client.get(url).content.decode()

    assert f"Vue d{AP}ensemble" in french
    assert "Abonnements" in french
    assert "Overview" in english
    assert f"Vue d{AP}ensemble" not in english


@pytest.mark.any_database
def test_what_is_kept_for_many_rows_is_kept_for_each_language() -> None:
    shown = []
    for language in ("en", "fr", "en"):
        with translation.override(language):
            shown.append(read_only._checkbox(language))

    assert shown[0] == shown[2] != shown[1]


@pytest.mark.any_database
def test_programs_are_answered_in_english(client: Client) -> None:
    api = Api(new_token("notifications:send"))

    refused = api.post("notifications", {"to": ["ann"], "subject": "", "text": ""}, accept_language="fr")
    english = api.post("notifications", {"to": ["ann"], "subject": "", "text": ""})

    assert refused.status_code == english.status_code == 422
    assert refused.json()["detail"] == english.json()["detail"]
    assert refused.json()["errors"] == english.json()["errors"]


@pytest.mark.any_database
def test_sentences_about_processes_keep_their_commands() -> None:
    late = Life(process="beat 1", beat_at=FRIDAY, age=timedelta(minutes=3))
    paused = QueuePause(queue="reporting", paused_at=FRIDAY, paused_by="ann", reason="Wartung.")

    with translation.override("fr"):
        said = [lives.beat_sentence(None), lives.relay_sentence(late), lives.pause_sentence(paused)]

    assert [sentence.rpartition(f"{NB}: ")[2] for sentence in said] == [
        "celery -A project beat",
        "manage.py relay",
        "manage.py queues resume reporting",
    ]
    assert "par ann" in said[2]


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (FRIDAY + timedelta(hours=1), f"aujourd{AP}hui 22:00"),
        (FRIDAY + timedelta(days=3), "lundi 21:00"),
        (FRIDAY + timedelta(days=90), "jeu 25 fév. 2027 21:00"),
    ],
)
def test_due_times_are_said_in_french(moment: datetime, words: str) -> None:
    with translation.override("fr"):
        assert due_words.when(moment, at=FRIDAY, zone=ZoneInfo("UTC")) == words


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("value", "places", "english", "french"),
    [
        (1_204, 0, "1,204", f"1{NB}204"),
        (4.27, 1, "4.3", "4,3"),
        (999.6, 0, "1,000", f"1{NB}000"),
        (-3.26, 1, "-3.3", "-3,3"),
        (0, 0, "0", "0"),
    ],
)
def test_numbers_are_rounded_and_grouped_as_people_write_them(
    value: float, places: int, english: str, french: str
) -> None:
    assert grouped(value, places=places) == english
    with translation.override("fr"):
        assert grouped(value, places=places) == french


@pytest.mark.any_database
def test_lengths_are_said_in_french() -> None:
    lengths: Any = (timedelta(seconds=1.25), timedelta(days=4, hours=3))
    with translation.override("fr"):
        assert [time_words.short(length) for length in lengths] == ["1,2 s", "4 j 3 h"]
        assert due_words.rough(timedelta(days=2)) == "2 j"


@pytest.mark.any_database
@pytest.mark.parametrize(
    "line",
    [
        "stat:failure",
        "state:faillure",
        "domain:elsewhere",
        "since:soon",
        "since:2026-02-30",
        "until:9999-12-31",
        "since:99999999w",
        "waited:5s",
        "ran:>fast",
        "args:42",
        "args.user_id:",
        "task:",
        "task:,",
        'error:"time out',
        '""',
        "state:failure state:success",
        "since:2d since:3d",
        "a\0b",
        "x" * 1_001,
        " ".join("x" * 21),
        "args.card:42",
    ],
)
def test_every_mistake_in_a_search_is_told_in_french(line: str) -> None:
    english, french = _mistake(line), _mistake(line, language="fr")

    assert english.word == french.word
    assert english.problem != french.problem
    assert english.cure != french.cure


def _mistake(line: str, *, language: str = "en") -> Mistake:
    with translation.override(language):
        found = parse(line, known=Vocabulary(("reporting",)), now=FRIDAY)
        (mistake,) = permitted(found, payloads=False).mistakes[:1]
    return mistake


@pytest.mark.any_database
def test_a_thread_asks_and_whoever_reads_decides_the_language() -> None:
    """As the survey does: the thread that asks RabbitMQ speaks the site's language, for readers of any."""
    with translation.override("en"):
        error = BrokerUnavailable(
            inspection.cure(ConnectionRefusedError(), Connection("amqp://ann:hush@127.0.0.1:1//"))
        )

    with translation.override("fr"):
        assert (
            survey.sentence_of(error) == "RabbitMQ est injoignable à 127.0.0.1:1. Démarrez-le, ou corrigez BROKER_URL."
        )
    assert survey.sentence_of(error) == "RabbitMQ cannot be reached at 127.0.0.1:1. Start it, or correct BROKER_URL."


@pytest.mark.any_database
def test_what_came_of_each_row_has_words_in_french() -> None:
    texts = {
        *(replay.REPLAYED, replay.DISCARDED, replay.RESTORED, replay.DECIDED, replay.NO_TASK, replay.NO_QUEUE),
        *(rerouting.DUE_NOW, rerouting.MOVED, rerouting.NOT_WAITING, rerouting.NOT_MOVABLE),
        *(str(fate) for fate in cancelling.Fate),
        verbs.NO_LETTER,
    }

    assert texts == outcome_words.KNOWN
    with translation.override("fr"):
        assert [text for text in texts if outcome_words.said(text) == text] == []


@pytest.mark.any_database
def test_alerts_speak_the_language_of_the_site(settings: Settings) -> None:
    """They go to addresses, of whom no language is known."""
    assert letters.test(by="beat@app-1").subject == "Taskyard: a test of its alerts"
    settings.LANGUAGE_CODE = "fr"

    assert letters.test(by="beat@app-1").subject == f"Taskyard{NB}: un essai de ses alertes"
