"""Suppressions, choices and what came back, in the admin."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from notifications.consent import choices, feedback
from notifications.consent.suppression_list import reasons, suppress
from notifications.consent.tables import Feedback, Preference, Suppression
from tests.notifications.consenting import ANN, BEN

pytestmark = pytest.mark.django_db
LIST, CHOICES, FEEDBACK = (f"/admin/notifications/{name}/" for name in ("suppression", "preference", "feedback"))


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def viewer(client: Client) -> Client:
    user = User.objects.create(username="viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_taskresult"))
    client.force_login(user)
    return client


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_an_address_is_suppressed_with_a_reason(ada: Client) -> None:
    answer = ada.post(f"{LIST}add/", {"address": "Ann <Ann@Example.org>", "detail": "She called."}, follow=True)

    assert "ann@example.org" in text(answer)
    row = Suppression.objects.get()
    assert (row.address_key, row.reason, row.detail, row.created_by) == (ANN, "by_hand", "She called.", "ada")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"address": "nobody", "detail": "x"}, "is no e-mail address"),
        ({"address": ANN, "detail": ""}, "required"),
        ({"address": BEN, "detail": "again"}, "by hand already: She called."),
    ],
)
def test_a_wrong_form_says_why(ada: Client, form: dict[str, str], said: str) -> None:
    suppress(BEN, detail="She called.")

    assert said in text(ada.post(f"{LIST}add/", form))
    assert Suppression.objects.count() == 1


def test_lifting_asks_for_a_reason_and_keeps_it(ada: Client) -> None:
    row, _ = suppress(ANN, reason="bounced")
    action = {"action": "lift_selected", "_selected_action": [row.pk]}

    assert "Lift 1 suppression?" in text(ada.post(LIST, action))
    assert "Lift 1 suppression?" in text(ada.post(LIST, {**action, "confirmed": "yes", "because": " "}))
    assert reasons(ANN, channel="email") == {"bounced"}
    done = ada.post(LIST, {**action, "confirmed": "yes", "because": "It was full."}, follow=True)

    assert "1 suppression is lifted." in text(done)
    row.refresh_from_db()
    assert (row.lifted_by, row.lifted_because) == ("ada", "It was full.")
    assert LogEntry.objects.get().get_change_message() == "Lifted: It was full."


@pytest.mark.parametrize(
    ("term", "found"), [("ANN@example.org", 1), ("Ann <ann@example.org>", 1), ("example", 2), ("\0", 2)]
)
def test_an_address_is_found_in_any_spelling(ada: Client, term: str, found: int) -> None:
    suppress(ANN)
    suppress(BEN)

    assert text(ada.get(LIST, {"q": term})).count('class="field-address_key') == found


def test_what_is_lifted_is_in_a_list_of_its_own(ada: Client) -> None:
    row, _ = suppress(ANN)
    Suppression.objects.update(lifted_at=row.created_at, lifted_by="ada")

    assert ANN not in text(ada.get(LIST))
    assert ANN in text(ada.get(LIST, {"lifted": "yes"}))


def test_who_may_only_look_changes_nothing(viewer: Client) -> None:
    row, _ = suppress(ANN)
    choices.choose(ANN, {"news": False}, source="page")

    assert ANN in text(viewer.get(LIST))
    assert viewer.get(f"{LIST}add/").status_code == 403
    for url, action, key in (
        (LIST, "lift_selected", row.pk),
        (CHOICES, "subscribe_selected", Preference.objects.get().pk),
    ):
        viewer.post(url, {"action": action, "_selected_action": [key], "confirmed": "yes", "because": "x"})
    assert reasons(ANN, channel="email") == {"by_hand"}
    assert Preference.objects.get().wanted is False


def test_a_choice_is_changed_on_behalf_of_the_recipient_and_logged(ada: Client) -> None:
    choices.choose(ANN, {"news": False}, source="page")
    row = Preference.objects.get()

    ada.post(CHOICES, {"action": "subscribe_selected", "_selected_action": [row.pk]})

    row.refresh_from_db()
    assert (row.wanted, row.source) == (True, "admin")
    assert LogEntry.objects.get().get_change_message() == "Subscribed again."


def test_every_page_opens_and_shows_evil_as_text(ada: Client) -> None:
    evil = "<script>alert(1)</script>"
    suppress(ANN, detail=evil)
    choices.choose(ANN, {"offers": False}, source="page")
    feedback.keep(evil.encode(), why=evil, source=evil)

    for url, table in ((LIST, Suppression), (CHOICES, Preference), (FEEDBACK, Feedback)):
        for page in (text(ada.get(url)), text(ada.get(f"{url}{table.objects.get().pk}/change/"))):
            assert evil not in page
    assert "offers (gone)" in text(ada.get(CHOICES))
