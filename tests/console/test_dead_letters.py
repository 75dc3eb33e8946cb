"""Dead letters in the admin: read as they came, and decided about by whoever may, after a look at what would happen."""

import html
import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django_celery_results.models import TaskResult

from routing.console.decisions import MOST
from routing.ledger import typed
from routing.ledger.tables import DeadLetter, Message
from tests.console import specimens

pytestmark = pytest.mark.django_db(transaction=True)

LETTERS, RESULTS = "/admin/routing/deadletter/", "/admin/django_celery_results/taskresult/"
KEYS = "_selected_action"


@pytest.fixture
def operator(client: Client) -> Client:
    """Signed in as somebody who may look at results, and decide about dead letters."""
    user = User.objects.create(username="olga", is_staff=True)
    permissions = Permission.objects.filter(codename__in=["view_taskresult", "view_payload", "change_deadletter"])
    user.user_permissions.set(permissions)
    client.force_login(user)
    return client


@pytest.fixture
def letter() -> DeadLetter:
    return specimens.dead_letter(specimens.result(status="FAILURE", outcome=specimens.REFUSED))


def unreadable() -> DeadLetter:
    return DeadLetter.objects.create(
        task_id="",
        task="",
        domain="reporting",
        queue="reporting",
        headers=typed.dumps({"tenant": b"\xfe"}),
        body="",
        raw=b"\xff<script>alert(1)</script>\0",
        reason="undecodable",
        error="Its body cannot be read: <img src=x>",
        source="reporting.dead",
        history=json.dumps([{"at": "2026-11-26T20:00:00+00:00", "event": "dead-lettered", "queue": "reporting"}]),
    )


def asked(client: Client, url: str, action: str, *keys: Any) -> str:
    response = client.post(url, {"action": action, KEYS: keys})
    assert response.status_code == 200
    return response.content.decode()


def confirmed(client: Client, url: str, action: str, *keys: Any) -> str:
    response = client.post(url, {"action": action, KEYS: keys, "confirmed": "yes"}, follow=True)
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def test_first_it_is_told_what_would_happen_to_how_many(operator: Client, letter: DeadLetter) -> None:
    others = [specimens.dead_letter(specimens.result(status="FAILURE")) for _ in range(2)]
    DeadLetter.objects.filter(pk=others[0].pk).update(state="replayed")

    html = asked(operator, LETTERS, "replay_selected", letter.pk, *(other.pk for other in others))

    assert "Replay 2 dead letters?" in html
    assert "1 of those that were chosen is left out" in html
    assert "PermanentError: The mail server refuses ada@example.org" in html
    assert not Message.objects.exists()


def test_a_replay_is_done_logged_and_linked(operator: Client, letter: DeadLetter) -> None:
    text = confirmed(operator, LETTERS, "replay_selected", letter.pk)

    message = Message.objects.get()
    assert f"It is enqueued anew as {message.pk}" in text
    letter.refresh_from_db()
    assert (letter.state, letter.decided_by, letter.replayed_as) == ("replayed", "olga", message.pk)
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(letter.pk), f"Replayed as {message.pk}.")
    result = TaskResult.objects.get(task_id=letter.task_id)
    for url in (f"{LETTERS}{letter.pk}/change/", f"{RESULTS}{result.pk}/change/"):
        assert message.pk in operator.get(url).content.decode(), url
    page = operator.get(f"/admin/routing/message/{message.pk}/change/").content.decode()
    assert letter.task_id in page


def test_a_failure_is_replayed_from_the_results(operator: Client, letter: DeadLetter) -> None:
    failed, other = TaskResult.objects.get(task_id=letter.task_id), specimens.result()

    html = asked(operator, RESULTS, "replay_selected", failed.pk, other.pk)
    assert "Replay 1 dead letter?" in html
    assert "1 of those that were chosen is left out: it has no dead letter" in html
    confirmed(operator, RESULTS, "replay_selected", failed.pk, other.pk)

    assert Message.objects.count() == 1
    assert "Replay…" not in operator.get(f"{RESULTS}{failed.pk}/change/").content.decode(), "it is replayed already"


def test_discarding_keeps_it_and_says_who_did(operator: Client, letter: DeadLetter) -> None:
    text = confirmed(operator, LETTERS, "discard_selected", letter.pk)

    assert "1 dead letter is discarded." in text
    letter.refresh_from_db()
    assert (letter.state, letter.decided_by) == ("discarded", "olga")
    assert LogEntry.objects.get().change_message == "Discarded."
    page = operator.get(f"{LETTERS}{letter.pk}/change/").content.decode()
    assert "olga discarded it." in page
    assert ("Replay…" in page, "Discard…" in page) == (True, False)


def test_what_cannot_be_replayed_says_what_to_do_instead(operator: Client) -> None:
    found = unreadable()

    page = operator.get(f"{LETTERS}{found.pk}/change/").content.decode()

    assert f"manage.py dead_letters show {found.pk} --body" in page
    assert ("Replay…" in page, "Discard…" in page) == (False, True)
    assert "ff 3c 73 63" in page
    assert "$bytes" in page
    assert "<img src=x>" not in page
    assert "1 is left: no task is in it that could run" in confirmed(operator, LETTERS, "replay_selected", found.pk)
    assert DeadLetter.objects.get().state == "open"


def test_who_may_only_look_is_offered_no_decision(viewer: Client, letter: DeadLetter) -> None:
    assert "Replay" not in viewer.get(LETTERS).content.decode()
    assert "Replay…" not in viewer.get(f"{LETTERS}{letter.pk}/change/").content.decode()

    for url, key in ((LETTERS, letter.pk), (RESULTS, TaskResult.objects.get().pk)):
        viewer.post(url, {"action": "replay_selected", KEYS: key, "confirmed": "yes"})
    assert DeadLetter.objects.get().state == "open"
    assert not Message.objects.exists()


def test_too_many_for_a_page_are_left_to_the_command(operator: Client, letter: DeadLetter) -> None:
    fields = {name: getattr(letter, name) for name in ("task", "domain", "queue", "headers", "body", "reason")}
    DeadLetter.objects.bulk_create(DeadLetter(task_id=str(n), **fields) for n in range(MOST))

    data = {"action": "replay_selected", KEYS: letter.pk, "select_across": "1", "index": "0"}
    text = operator.post(LETTERS, data, follow=True).content.decode()

    assert "manage.py dead_letters replay" in text
    assert not Message.objects.exists()


def test_one_is_found_by_its_number_its_task_and_its_cause(operator: Client, letter: DeadLetter) -> None:
    other = unreadable()
    DeadLetter.objects.filter(pk=letter.pk).update(fingerprint="ab12" * 8)

    def found(term: str) -> list[DeadLetter]:
        return list(operator.get(LETTERS, {"q": term}).context["cl"].result_list)

    assert found(letter.task_id) == found("AB12" * 8) == [letter]
    assert found(str(other.pk)) == [other]
    assert found("nothing") == found("9" * 40) == []


def test_several_at_once_are_one_entry_of_the_log_which_names_them(operator: Client, letter: DeadLetter) -> None:
    other = specimens.dead_letter(specimens.result("reporting.weekly", status="FAILURE"))

    confirmed(operator, LETTERS, "replay_selected", letter.pk, other.pk)

    told = LogEntry.objects.get().change_message
    assert told == (
        f"Replay: 2 dead letters of notifications.send_email, reporting.weekly, numbers {letter.pk}, {other.pk}."
    )


def test_what_was_discarded_is_taken_back(operator: Client, letter: DeadLetter) -> None:
    confirmed(operator, LETTERS, "discard_selected", letter.pk)

    assert "Take back 1 dead letter?" in asked(operator, LETTERS, "restore_selected", letter.pk)
    assert "1 dead letter is open again." in confirmed(operator, LETTERS, "restore_selected", letter.pk)

    letter.refresh_from_db()
    assert (letter.state, letter.decided_by, letter.decided_at) == ("open", "", None)
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == ["Discarded.", "Taken back."]
    assert "nothing left to decide" in confirmed(operator, LETTERS, "restore_selected", letter.pk)


def edited(client: Client, letter: DeadLetter, **typed: str) -> str:
    response = client.post(f"{LETTERS}{letter.pk}/edit/", typed, follow=True)
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


MAIL = {"subject": "Hello", "text": "…", "to": ["ada@example.com"]}


def test_a_letter_is_replayed_with_other_arguments_and_keeps_its_own(operator: Client, letter: DeadLetter) -> None:
    DeadLetter.objects.update(headers=json.dumps({"kwargsrepr": "{}"}))
    assert "Edit and replay…" in operator.get(f"{LETTERS}{letter.pk}/change/").content.decode()

    text = edited(operator, letter, args="", kwargs=json.dumps(MAIL))

    message = Message.objects.get()
    assert f"It is enqueued anew with your arguments as {message.pk}" in text
    assert json.loads(message.body)[:2] == [[], MAIL]
    assert "ada@example.com" in json.loads(message.headers)["kwargsrepr"]
    letter.refresh_from_db()
    assert (letter.body, letter.state, letter.replayed_as) == ("[[], {}, {}]", "replayed", message.pk)
    assert json.loads(letter.history)[-1]["edited"] is True
    assert LogEntry.objects.get().change_message == f"Replayed with edited arguments as {message.pk}."
    assert "Somebody has decided about it already" in edited(operator, letter, args="", kwargs=json.dumps(MAIL))
    assert Message.objects.count() == 1


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ('{"subject": 1,}', "Named arguments: line 1, column 15: "),
        ("[]", "Named arguments: this must be an object"),
        ('{"subject": NaN}', "NaN is no JSON. Write a number, null or a string."),
        ('{"a": 1, "a": 2}', "the key “a” is there twice."),
        ("[" * 100_000, "it is nested too deeply."),
        ('{"colour": "red"}', "notifications.send_email cannot be called so:"),
        (json.dumps({"text": "x" * 1024 * 1024}), "the limit is 1,048,576 (TASKYARD_MAX_PAYLOAD)"),
    ],
)
def test_arguments_that_cannot_be_are_told_and_nothing_is_done(
    operator: Client, letter: DeadLetter, kwargs: str, said: str
) -> None:
    text = edited(operator, letter, args="", kwargs=kwargs)

    assert said in html.unescape(text)
    assert DeadLetter.objects.get().state == "open"
    assert not Message.objects.exists()


def test_who_may_only_look_edits_nothing(viewer: Client, letter: DeadLetter) -> None:
    assert viewer.get(f"{LETTERS}{letter.pk}/edit/").status_code == 403
    assert viewer.post(f"{LETTERS}{letter.pk}/edit/", {"kwargs": "{}"}).status_code == 403
    assert not Message.objects.exists()


def test_what_holds_no_task_has_nothing_to_edit(operator: Client) -> None:
    assert "There is no task in it" in edited(operator, unreadable(), args="", kwargs="{}")
