"""Notifications in the language of each recipient: who decides which, what is read, and what is shown later."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from notifications import api_keys, asked, content, languages, reproducing, services
from notifications.draft import Draft
from notifications.given import Recipient
from notifications.mailing import Mailing
from notifications.merge import load
from notifications.problems import InvalidNotification
from notifications.recipients import read
from notifications.tables import Delivery, Notification
from notifications.templating import folder, moving, versions
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template, TemplateVersion
from notifications.templating.versions import InvalidTemplate
from tests.api_client import Api, new_token
from tests.notifications.consenting import path, run
from tests.notifications.mail_server import MailServer, mail_server
from tests.notifications.test_templates_pages import form, page, user

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db

ANN, ANNE = "ann@example.org", "anne@example.org"
NB = "\N{NO-BREAK SPACE}"
DUE = Variable(name="due", sample="2026-11-27")
ENGLISH = Sources(subject="Your order", text='Due on {{ due|date:"l" }}.', html="")
FRENCH = Sources(subject="Votre commande", text='À payer {{ due|date:"l" }}.', html="")
LETTER: dict[str, Any] = {"subject": "Hello", "text": "It works.\n", "category": "news"}


@dataclass
class Person:
    email: str
    language: Any = ""


@pytest.fixture(autouse=True)
def _spoken() -> Iterator[None]:
    """A request leaves its language to the thread that served it."""
    with translation.override("en"):
        yield


@pytest.fixture
def order(db: None) -> Template:
    template = Template.objects.create(name="order", description="To whoever has ordered.")
    versions.save(template, ENGLISH, [DUE], after=0, translations={"fr": FRENCH})
    return template


def chosen(*to: Any, **draft: Any) -> list[str]:
    """The language of each delivery."""
    notification = services.notify(list(to), **{**LETTER, **draft})
    return list(notification.deliveries.order_by("position").values_list("language", flat=True))


def said(language: str) -> tuple[str, str]:
    draft = {"template": "order", "context": {"due": "2026-11-27"}}
    found = content.of(services.notify(Recipient(ANN, language=language), **draft).deliveries.get())
    return found.subject, found.text


# --- Who decides


def test_the_recipient_decides_then_the_notification_then_the_site() -> None:
    people = (
        Recipient(ANN, language="en"),
        {"email": ANNE, "language": "fr-CA"},
        Person("p@example.org", "fr"),
        "q@example.org",
    )

    assert chosen(*people, language="fr") == ["en", "fr", "fr", "fr"]
    assert chosen("q@example.org") == [""]


@pytest.mark.parametrize("language", ["de", "xx", "", None, 7, "fr\0", "f" * 1_000, "../fr", object()])
def test_a_language_that_nobody_speaks_here_is_left_out(language: Any) -> None:
    assert chosen(Person(ANN, language)) == [""]


@pytest.mark.any_database
def test_a_notification_in_no_known_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidNotification, match="language 'de' is not spoken here; use one of en, fr"):
        Draft(subject="s", text="t", language="de").checked()


def test_a_row_of_values_keeps_its_language_for_the_template() -> None:
    services.notify({"email": ANN, "language": "fr", "name": "Ann"}, **LETTER)

    assert Delivery.objects.get().context == {"language": "fr", "name": "Ann"}


def test_many_of_either_language_are_stored_together() -> None:
    people = [Recipient(f"r{number}@example.org", language=("fr", "en", "")[number % 3]) for number in range(30)]

    services.notify_many(people, key="many", **LETTER)

    found = Delivery.objects.order_by("position").values_list("language", flat=True)
    assert list(found) == [one.language for one in people]


def test_the_same_key_is_the_same_call_across_the_upgrade(settings: Any) -> None:
    settings.SECRET_KEY = "fixed-for-this-test"  # noqa: S105
    draft = Draft(subject="s", text="t", key="k")

    # That of the release before, which knew of no languages.
    assert draft.fingerprint == "3393538c6014900f36418508458f122201bdf82e52be23aee58062edb27aa410"
    assert draft.fingerprint != Draft(subject="s", text="t", key="k", language="fr").fingerprint


def test_programs_say_it_too(db: None) -> None:
    api = Api(new_token("notifications:send"))

    answer = api.post("notifications", {**LETTER, "to": [ANN, {"to": ANNE, "language": "en"}], "language": "fr"})
    refused = api.post("notifications", {**LETTER, "to": [ANN], "language": "de"})

    assert (answer.status_code, refused.status_code) == (202, 422)
    assert sorted(Delivery.objects.values_list("language", flat=True)) == ["en", "fr"]


@pytest.mark.any_database
def test_the_same_key_with_another_language_is_another_call() -> None:
    plain = api_keys.digest([Recipient(ANN, {"x": 1})])

    assert plain != api_keys.digest([Recipient(ANN, {"x": 1}, "fr")])
    assert plain == api_keys.digest([Recipient(ANN, {"x": 1}, "")])


@pytest.mark.any_database
def test_the_task_takes_it_for_all_and_for_each() -> None:
    words = asked.draft({**LETTER, "language": "fr"})

    assert Draft(**words).checked().language == "fr"
    assert [one.language for one in asked.recipients([ANN, {"email": ANNE, "language": "fr"}])] == ["", "fr"]


def test_a_column_of_a_file_says_it(tmp_path: Path, order: Template) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"email,language,due\n{ANN},en,2026-11-27\n{ANNE},fr,2026-11-27\n")

    found = list(Mailing(recipients=read(file), merge=load(subject=None, text="order")))

    assert [(one.language, one.problem) for one in found] == [("en", ""), ("fr", "")]


# --- What they read


def test_each_reads_their_own_and_dates_as_they_write_them(order: Template) -> None:
    assert said("fr") == ("Votre commande", "À payer vendredi.")
    assert said("en") == ("Your order", "Due on Friday.")
    assert said("") == ("Your order", "Due on Friday.")


def test_a_mail_is_french_down_to_its_last_line(mail_server: MailServer, order: Template) -> None:
    draft = {"template": "order", "context": {"due": "2026-11-27"}, "category": "news"}
    delivery = services.notify(Recipient(ANNE, language="fr"), **draft).deliveries.get()

    run(delivery)

    message: Any = mail_server.deliveries[0].message
    text = message.get_body(("plain",)).get_content()
    assert "À payer vendredi." in text
    assert f"Vous recevez cet e-mail au titre de «{NB}Actualités{NB}»." in text
    assert "Se désabonner" in text


@pytest.mark.parametrize("viewer", ["en", "fr"])
@pytest.mark.parametrize("reader", ["en", "fr", ""])
def test_what_went_out_is_shown_as_it_was_whoever_looks(
    mail_server: MailServer, order: Template, viewer: str, reader: str
) -> None:
    draft = {"template": "order", "context": {"due": "2026-11-27"}, "category": "news"}
    delivery = services.notify(Recipient(ANN, language=reader), **draft).deliveries.get()
    run(delivery)
    delivery.refresh_from_db()

    with translation.override(viewer):
        assert reproducing.reproduce(delivery).is_identical
        assert translation.get_language() == viewer


def test_a_language_that_is_gone_is_read_in_the_sites_own(order: Template) -> None:
    services.notify(ANN, template="order", context={"due": "2026-11-27"})
    Delivery.objects.update(language="tlh")

    assert content.of(Delivery.objects.get()).subject == "Your order"


# --- Templates


def test_an_old_version_keeps_its_translation_and_a_restored_one_has_it(order: Template) -> None:
    old = services.notify(Recipient(ANNE, language="fr"), template="order", context={"due": "2026-11-27"})
    versions.save(order, ENGLISH, [DUE], after=1)
    assert said("fr")[0] == "Your order"
    assert content.of(old.deliveries.get()).subject == "Votre commande"

    versions.restore(TemplateVersion.objects.get(number=1), after=2)

    assert said("fr")[0] == "Votre commande"


@pytest.mark.parametrize(
    ("language", "source", "told"),
    [
        ("fr", Sources(subject="", text="x", html=""), "subject in Français is empty"),
        ("fr", Sources(subject="s", text="{% broken %}", html=""), "text in Français cannot be used"),
        ("fr", Sources(subject="s", text="{{ other }}", html=""), "variables in Français do not have other"),
        ("de", FRENCH, "'de' is none to translate into; there are: fr"),
    ],
)
def test_a_translation_that_nobody_can_send_is_not_saved(language: str, source: Sources, told: str) -> None:
    with pytest.raises(InvalidTemplate, match=told):
        versions.save(Template.objects.create(name="order"), ENGLISH, [DUE], after=0, translations={language: source})

    assert not TemplateVersion.objects.exists()


def test_it_goes_through_files_and_back(order: Template, tmp_path: Path) -> None:
    own = folder.write(tmp_path, versions.newest("order"))
    assert (own / "subject.fr.txt").read_text() == "Votre commande\n"
    assert [move.step for move in moving.plan(folder.read(tmp_path))] == ["keep"]

    (own / "body.fr.txt").write_text("Payez.")
    moving.carry_out(moving.plan(folder.read(tmp_path)))
    assert said("fr")[1] == "Payez."

    versions.save(order, ENGLISH, [DUE], after=2)
    folder.write(tmp_path, versions.newest("order"))
    assert not list(own.glob("*.fr.*"))


def test_a_file_in_a_language_that_nobody_speaks_is_told(order: Template, tmp_path: Path) -> None:
    own = folder.write(tmp_path, versions.newest("order"))
    (own / "subject.de.txt").write_text("Bestellung")
    (own / "body.de.txt").write_text("Zahlen.")

    (filed,) = folder.read(tmp_path)

    assert "'de' is none to translate into" in moving.problems(filed)[0].detail


def test_what_an_editor_keeps_beside_a_file_is_no_language(order: Template, tmp_path: Path) -> None:
    own = folder.write(tmp_path, versions.newest("order"))
    for name in ("body.txt.orig", "body.html.bak", "subject.txt.orig"):
        (own / name).write_text("old")

    (filed,) = folder.read(tmp_path)

    assert list(filed.translations) == ["fr"]


def test_it_is_written_in_the_admin(order: Template) -> None:
    author = user("view_template", "change_template")
    rows = [{"name": "due", "required": "on", "sample": "2026-11-27"}]
    french = form("save", rows, subject="Commande", html="", text="Payez {{ due }}.")

    shown = author.get(f"{page(order)}?language=fr").content.decode()
    saved = author.post(f"{page(order)}?language=fr", french)
    # The first language is edited; the translation stays.
    author.post(page(order), form("save", rows, subject="An order", html="", text="Pay {{ due }}.", after=2))

    assert "Votre commande" in shown
    assert saved["Location"].endswith("?language=fr")
    newest = versions.newest("order")
    assert (newest.number, newest.subject) == (3, "An order")
    assert newest.translations == {"fr": {"subject": "Commande", "text": "Payez {{ due }}.", "html": ""}}


def test_a_language_that_is_gone_keeps_no_version_from_being_saved(order: Template, settings: Settings) -> None:
    settings.LANGUAGES = [("en", "English")]
    author = user("view_template", "change_template")
    rows = [{"name": "due", "required": "on", "sample": "2026-11-27"}]

    author.post(page(order), form("save", rows, subject="An order", html="", text="Pay {{ due }}."))
    versions.restore(TemplateVersion.objects.get(number=1), after=2)

    found = list(TemplateVersion.objects.order_by("number").values_list("subject", "translations"))
    assert found[1:] == [("An order", None), ("Your order", None)]
    assert found[0][1] == {"fr": vars(FRENCH)}


def test_a_translation_that_is_left_empty_goes(order: Template) -> None:
    author = user("view_template", "change_template")
    rows = [{"name": "due", "required": "on", "sample": "2026-11-27"}]

    author.post(f"{page(order)}?language=fr", form("save", rows, subject="", html="", text=""))

    newest = versions.newest("order")
    assert (newest.number, newest.translations, newest.subject) == (2, None, "Your order")


@pytest.mark.parametrize("query", ["?language=de", "?language=en", "?language=", "?language=fr%00"])
def test_the_page_of_no_such_language_is_that_of_the_first(order: Template, query: str) -> None:
    shown = user("view_template", "change_template").get(page(order) + query)

    assert shown.status_code == 200
    assert 'value="Your order"' in shown.content.decode()


# --- Pages of links


def test_pages_of_links_speak_the_visitors_language(client: Client) -> None:
    shown = {
        wanted: client.get(path("unsubscribe"), headers={"Accept-Language": wanted}).content.decode()
        for wanted in ("fr", "en", "de")
    }

    assert f"Se désabonner de «{NB}Actualités{NB}»{NB}?" in shown["fr"]
    assert "Unsubscribe from “News”?" in shown["en"]
    assert shown["de"] == shown["en"]


def test_preferences_are_french_and_a_click_is_the_same_click(client: Client) -> None:
    shown = client.get(path("preferences"), headers={"Accept-Language": "fr"}).content.decode()
    client.post(path("unsubscribe"), {"List-Unsubscribe": "One-Click"}, headers={"Accept-Language": "fr"})

    assert "Ce que nous vous envoyons" in shown
    assert "Actualités et offres." in shown
    assert chosen(ANN) == [""]
    assert Notification.objects.get().deliveries.get().state in ("suppressed", "pending")


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("code", "nearest"), [("fr", "fr"), ("fr-CH", "fr"), ("FR-ca", "fr"), ("fr_CA", "fr"), ("en-us", "en"), ("de", "")]
)
def test_the_nearest_language_is_found(code: str, nearest: str) -> None:
    assert languages.nearest(code) == nearest
