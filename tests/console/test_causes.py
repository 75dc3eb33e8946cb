"""Causes in the admin: what went wrong how often, found at a glance, with what people know about it."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from routing.console import cause_rows
from routing.ledger import causes, fingerprint
from routing.ledger.job_tables import CauseNote
from routing.ledger.tables import DeadLetter
from tests.console import specimens
from tests.ledger.test_causes import FULL, LOST, letters

pytestmark = pytest.mark.django_db(transaction=True)

CAUSES = "/admin/routing/deadletter/causes/"


@pytest.fixture
def operator(client: Client) -> Client:
    """Signed in as somebody who may look at results, and decide about dead letters."""
    user = User.objects.create(username="olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_taskresult", "change_deadletter"]))
    client.force_login(user)
    return client


def text_of(client: Client, url: str, data: dict[str, Any] | None = None) -> str:
    response = client.get(url, follow=True) if data is None else client.post(url, data, follow=True)
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def test_failures_alike_are_one_line_which_leads_to_them(viewer: Client) -> None:
    for _ in range(3):
        specimens.dead_letter(specimens.result(status="FAILURE"))
    specimens.unreadable_letter()
    fingerprint.work_out()

    html = viewer.get(CAUSES).content.decode()

    assert "4 open dead letters of 2 causes." in html
    alike = DeadLetter.objects.exclude(task="").first()
    assert alike is not None
    assert f'href="{CAUSES}{alike.fingerprint}/"' in html
    assert 'aria-label="3 in the last 24 hours, 3 of them in the last one"' in html
    page = viewer.get(f"{CAUSES}{alike.fingerprint}/").content.decode()
    assert "3 open dead letters of this cause." in page
    assert "services.send_email(subject=subject" in page
    assert page.count("/admin/routing/deadletter/") > 3
    assert f"?q={alike.fingerprint}&amp;state__exact=open" in page


def test_the_list_says_that_nothing_is_open(viewer: Client) -> None:
    assert "No dead letter is open." in text_of(viewer, CAUSES)


def test_what_is_not_told_apart_yet_is_said(viewer: Client) -> None:
    letters(2, fingerprint="")

    assert "Not told apart yet" in text_of(viewer, CAUSES)
    assert "No dead letter of this cause is kept" in text_of(viewer, f"{CAUSES}nothing/"), "and it has no page"


def test_an_error_is_never_taken_for_html(operator: Client) -> None:
    letters(1)
    DeadLetter.objects.update(error="<script>alert(1)</script>", task="<b>x</b>")

    for url in (CAUSES, f"{CAUSES}{LOST}/"):
        html = operator.get(url).content.decode()
        assert "<script>alert(1)" not in html
        assert "<b>x</b>" not in html


def test_counting_that_takes_too_long_is_said(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    letters(20_000)
    monkeypatch.setattr(cause_rows, "SECONDS", 0.001)

    assert "nothing is shown" in text_of(viewer, CAUSES)


def test_of_very_many_letters_it_is_told_that_they_are_more(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    letters(12)
    monkeypatch.setattr(causes, "COUNTED", 10)

    text = text_of(viewer, CAUSES)

    assert "At least 10 open dead letters of 1 cause." in text
    assert "Letters at least 10" in text
    assert "at least 10 in the last hour" in text


def test_of_very_many_causes_it_is_told_that_they_are_more(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    letters(2)
    letters(1, fingerprint=FULL)
    monkeypatch.setattr(causes, "MOST", 1)

    assert "At least 3 open dead letters of at least 1 cause." in text_of(viewer, CAUSES)


def test_a_note_stays_with_the_cause_with_who_and_when(operator: Client) -> None:
    letters(1)

    text = text_of(operator, f"{CAUSES}{LOST}/note/", {"note": " The disk of db-2 was full. "})

    assert "Your note is kept with the cause." in text
    kept = CauseNote.objects.get()
    assert (kept.fingerprint, kept.text, kept.by) == (LOST, "The disk of db-2 was full.", "olga")
    assert LogEntry.objects.get().change_message == "Noted about reporting.x: The disk of db-2 was full."
    DeadLetter.objects.update(state="replayed")
    page = text_of(operator, f"{CAUSES}{LOST}/")
    assert "Nothing of this cause is open." in page
    assert "The disk of db-2 was full. olga," in page


@pytest.mark.parametrize(
    ("note", "said"),
    [(" ", "There is nothing in it."), ("a\0b", "It holds a NUL"), ("x" * 5_001, "It is 5,001 characters long.")],
)
def test_what_cannot_be_noted_comes_back_with_the_cure(operator: Client, note: str, said: str) -> None:
    letters(1)

    assert said in text_of(operator, f"{CAUSES}{LOST}/note/", {"note": note})
    assert not CauseNote.objects.exists()


def test_who_may_only_look_notes_nothing(viewer: Client) -> None:
    letters(1)

    assert viewer.post(f"{CAUSES}{LOST}/note/", {"note": "x"}).status_code == 403
    assert "Keep this note" not in viewer.get(f"{CAUSES}{LOST}/").content.decode()
    assert not CauseNote.objects.exists()


def test_a_stranger_sees_no_cause(stranger: Client) -> None:
    letters(1)

    assert [stranger.get(url).status_code for url in (CAUSES, f"{CAUSES}{LOST}/")] == [403, 403]
