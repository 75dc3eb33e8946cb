"""What is done to tasks in flight, and to all that a search finds: told first, done once, and written into the log."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app, states
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.console import task_deeds
from routing.ledger.job_tables import Job
from routing.ledger.tables import DeadLetter, Message, Outbox
from routing.tasks import do_job
from tests.console import specimens
from tests.console.test_causes import text_of

pytestmark = pytest.mark.django_db(transaction=True)

TASKS, RESULTS = "/admin/routing/message/", "/admin/django_celery_results/taskresult/"
KEYS = "_selected_action"
MAIL, WEEKLY = "notifications.send_email", "reporting.weekly"


@pytest.fixture
def operator(client: Client) -> Client:
    """Signed in as somebody who may look at results, and act on tasks and dead letters."""
    user = User.objects.create(username="olga", is_staff=True)
    names = ["view_taskresult", "change_message", "change_deadletter", "view_logentry"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(user)
    return client


def enqueued(task: str = MAIL, **options: Any) -> str:
    return str(current_app.send_task(task, **options).id)


def confirmed(client: Client, action: str, *keys: str, **typed: str) -> str:
    return text_of(client, TASKS, {"action": action, KEYS: list(keys), "confirmed": "yes", **typed})


def asked(client: Client, action: str, *keys: str) -> str:
    return text_of(client, TASKS, {"action": action, KEYS: list(keys)})


def job_done() -> Job:
    """The last that was asked for, after its tasks have run."""
    job = Job.objects.latest("pk")
    while (message := Message.objects.filter(task=do_job.name).first()) is not None:
        # Its own tasks alone: the others are what it is about.
        do_job.run(**json.loads(message.body)[1])
        message.delete()
    job.refresh_from_db()
    return job


def test_a_cancel_tells_what_runs_and_is_one_entry_of_the_log(operator: Client) -> None:
    first, second = enqueued(), enqueued(WEEKLY)
    Message.objects.filter(pk=second).update(owner=specimens.worker().pk, state=states.STARTED)

    page = asked(operator, "cancel_selected", first, second)
    assert "Cancel: 2 tasks in flight?" in page
    assert "1 of them runs just now." in page
    assert Message.objects.count() == 2
    text = confirmed(operator, "cancel_selected", first, second, note="sent twice")

    assert "1 cancelled. " in text
    assert not Message.objects.exists()
    results = TaskResult.objects.filter(task_id__in=[first, second])
    assert {row.status for row in results} == {"REVOKED"}
    assert "sent twice" in results[0].meta
    told = LogEntry.objects.get().change_message
    assert all(word in told for word in ("Cancel: ", MAIL, WEEKLY, first, second, "sent twice")), told
    assert "1 cancelled" in text_of(operator, "/admin/admin/logentry/?q=reporting.weekly")


def test_what_waits_for_later_runs_now_from_its_page(operator: Client) -> None:
    task_id = enqueued(countdown=3600)
    assert "Run now…" in operator.get(f"{TASKS}{task_id}/change/").content.decode()

    assert "1 due now." in confirmed(operator, "run_now_selected", task_id)

    assert Outbox.objects.get().due_at <= timezone.now()
    assert "1 left, as it runs" in confirmed(operator, "run_now_selected", task_id)


def test_a_task_is_moved_to_a_lane_of_its_domain_and_no_other(operator: Client) -> None:
    task_id = enqueued()
    page = asked(operator, "move_selected", task_id)
    assert "notifications.bulk" in page
    assert "reporting" not in page.partition("To which lane?")[2]

    assert "Choose one of the lanes." in confirmed(operator, "move_selected", task_id, queue="reporting")
    assert not LogEntry.objects.exists()
    assert "1 moved." in confirmed(operator, "move_selected", task_id, queue="notifications.bulk")

    assert Message.objects.get().queue == "notifications.bulk"
    assert "notifications.bulk" in LogEntry.objects.get().change_message


def test_all_that_a_search_finds_is_cancelled_by_a_job(operator: Client) -> None:
    for _ in range(3):
        enqueued()
    left = enqueued(WEEKLY)
    listed = operator.get(f"{TASKS}?q=task:notifications.*&queue=notifications").content.decode()
    assert "all/cancel/?q=task%3Anotifications.%2A&amp;queue=notifications" in listed
    url = f"{TASKS}all/cancel/?q=task:notifications.*&queue=notifications"

    assert "Cancel: 3 tasks in flight?" in text_of(operator, url)
    text_of(operator, url, {"wish": "once", "note": "too late"})
    text_of(operator, url, {"wish": "once", "note": "too late"})
    later = enqueued()
    job = job_done()

    assert (job.state, job.expected, json.loads(job.outcomes)) == ("done", 3, {"cancelled": 3})
    assert set(Message.objects.values_list("pk", flat=True)) == {left, later}, "what came later is no part of it"
    entry = LogEntry.objects.get()
    assert entry.change_message == "Cancel: task:notifications.* queue:notifications, too late"


def test_more_than_a_page_takes_are_asked_about_as_all(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_deeds, "MOST", 1)
    keys = [enqueued(), enqueued()]

    data = {"action": "run_now_selected", KEYS: keys, "select_across": "1", "index": "0"}
    response = operator.post(f"{TASKS}?q=task:{MAIL}", data)

    assert response.headers["Location"].endswith("all/run_now/?q=task%3Anotifications.send_email")


def test_all_failures_that_a_search_finds_are_replayed_once_each(operator: Client) -> None:
    letters = [specimens.dead_letter(specimens.result(MAIL, status="FAILURE")) for _ in range(3)]
    other = specimens.dead_letter(specimens.result(WEEKLY, status="FAILURE"))
    specimens.result(MAIL)
    DeadLetter.objects.filter(pk=letters[0].pk).update(state="discarded")
    url = f"{RESULTS}all/replay/?q=task:{MAIL}+since:2d"

    assert "They are 3 results" in text_of(operator, url)
    text_of(operator, url, {"wish": "once"})
    job = job_done()

    outcomes = {"replayed": 2, "left, as no open dead letter is kept of it": 1}
    assert (job.state, job.seen, json.loads(job.outcomes)) == ("done", 3, outcomes)
    assert Message.objects.count() == 2
    other.refresh_from_db()
    assert other.state == "open"
    text_of(operator, url, {"wish": "again"})
    assert json.loads(job_done().outcomes) == {"left, as no open dead letter is kept of it": 3}


def test_a_replay_of_all_goes_on_where_its_last_batch_ended(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from routing.console.jobs import carrying, verbs

    for age in range(5):
        specimens.dead_letter(specimens.result(MAIL, status="FAILURE", enqueued=timedelta(minutes=age)))
    few = verbs.Verb("replay_results", "", verbs.REPLAY_RESULTS.act, 2, "replayed")
    monkeypatch.setitem(verbs.VERBS, "replay_results", few)
    text_of(operator, f"{RESULTS}all/replay/", {"wish": "once"})
    job = Job.objects.get()

    assert carrying.carry_on(job.pk, turn=1, seconds=-1) == "open"
    assert DeadLetter.objects.filter(state="replayed").count() == 2
    assert carrying.carry_on(job.pk, turn=2) == "done"
    assert DeadLetter.objects.filter(state="replayed").count() == 5


@pytest.mark.parametrize("verb", ["cancel", "run_now", "move"])
def test_who_may_only_look_does_nothing_to_tasks(viewer: Client, verb: str) -> None:
    task_id = enqueued(countdown=60)

    assert viewer.post(f"{TASKS}all/{verb}/", {"wish": "x", "queue": "notifications.bulk"}).status_code == 403
    viewer.post(TASKS, {"action": f"{verb}_selected", KEYS: [task_id], "confirmed": "yes"})

    assert viewer.post(f"{RESULTS}all/replay/", {"wish": "x"}).status_code == 403
    message = Message.objects.get()
    assert (message.epoch, message.queue) == (1, "notifications")
    assert not re.search("Cancel…|all/cancel", viewer.get(TASKS).content.decode())


@pytest.mark.any_database
def test_a_search_that_cannot_be_read_is_for_nothing(operator: Client) -> None:
    enqueued()

    text = text_of(operator, f"{TASKS}all/cancel/?q=nonsense:x", {"wish": "x"})

    assert "nonsense" in text
    assert not Job.objects.exists()
    assert operator.get(f"{TASKS}all/burn/").status_code == 404
