"""The task ``notifications.notify``, enqueued by its name: what it takes, and what it refuses with the cure."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app, states
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django_celery_results.models import TaskResult
from pytest_django import Settings

from notifications import attachments, tasks
from notifications.tables import Notification
from notifications.templating import versions
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template
from routing import testing
from routing.ledger.tables import DeadLetter, Message
from tests.inline import deliver, drain, worker

pytestmark = pytest.mark.django_db

ANN, BEN = "ann@example.org", "ben@example.org"
NAME = "notifications.notify"


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.MEDIA_ROOT = tmp_path
    attachments.of.cache_clear()
    yield
    attachments.of.cache_clear()


@pytest.fixture
def welcome() -> None:
    sources = Sources(subject="Welcome, {{ name }}", text="Your code is {{ code }}.", html="")
    variables = [Variable(name="name", sample="Ann"), Variable(name="code", required=False, secret=True, sample="1234")]
    versions.save(Template.objects.create(name="welcome"), sources, variables, after=0)


def call(*, to: Any = (ANN,), queue: str | None = None, **kwargs: Any) -> str:
    """As a program does that knows only the task's name."""
    said = {} if "template" in kwargs else {"subject": "Your week", "text": "It is ready."}
    given = {"to": list(to) if isinstance(to, tuple) else to, **said, **kwargs}
    assert tasks.notify.name == NAME
    return str(current_app.send_task(NAME, kwargs=given, queue=queue).id)


def failure(**kwargs: Any) -> str:
    """What the dead letter of such a call says, for which nothing was stored."""
    task_id = call(**kwargs)
    with worker():
        drain()
    error = DeadLetter.objects.get(task_id=task_id).error or ""
    assert error.startswith("PermanentError: ")
    assert not Notification.objects.exists()
    assert not Message.objects.exists()
    return error


def test_it_writes_to_each_with_their_own_values_from_its_template(welcome: None) -> None:
    call(to=({"email": ANN, "name": "Ann"}, {"email": f"Ben <{BEN}>", "name": "Ben"}), template="welcome")
    testing.drain()

    assert [(message.to, message.subject) for message in mail.outbox] == [
        ([ANN], "Welcome, Ann"),
        ([f"Ben <{BEN}>"], "Welcome, Ben"),
    ]


def test_all_of_its_words_are_those_of_the_notification() -> None:
    task_id = call(
        html="<p>It is ready.</p>",
        category="account",
        lane="bulk",
        from_email="Reports <reports@example.org>",
        reply_to=["office@example.org"],
        key="week:2026-48",
        template=None,
        context=None,
        subject="Your week",
        text="It is ready.",
    )
    testing.drain()

    found = Notification.objects.get()
    assert (found.key, found.lane, found.category) == ("week:2026-48", "bulk", "account")
    assert (found.from_email, found.reply_to) == ("Reports <reports@example.org>", ["office@example.org"])
    assert (found.html, found.created_by) == ("<p>It is ready.</p>", f"task {task_id}")
    result = json.loads(TaskResult.objects.get(task_id=task_id).result)
    assert result == {"notification": str(found.pk), "deliveries": 1}


def test_what_it_sends_stays_in_the_lane_of_its_queue() -> None:
    task_id = call(queue="notifications.urgent")
    testing.drain()

    found = Notification.objects.get()
    assert (found.lane, found.key) == ("urgent", f"task:{task_id}")


def test_the_same_key_again_sends_nothing_twice() -> None:
    first, second = call(key="week:48"), call(key="week:48")
    testing.drain()

    assert len(mail.outbox) == 1
    results = [TaskResult.objects.get(task_id=one) for one in (first, second)]
    assert {one.status for one in results} == {states.SUCCESS}
    assert results[0].result == results[1].result


def test_its_outcome_and_what_it_stored_are_kept_together_or_not_at_all() -> None:
    """The process dies right before the commit; the task runs again, and nobody is written to twice."""
    task_id = call()
    with worker():
        with transaction.atomic():
            deliver(Message.objects.get(pk=task_id))
            transaction.set_rollback(True)
        assert (Notification.objects.count(), TaskResult.objects.count()) == (0, 0)
        drain()

    assert [message.to for message in mail.outbox] == [[ANN]]


def test_a_file_of_the_storage_goes_with_it_under_its_name() -> None:
    path = default_storage.save("reports/7.bin", ContentFile(b"%PDF-1.7\r\n"))

    call(attachments=[{"storage_name": path, "name": "Week 48.pdf", "content_type": "application/pdf"}])
    testing.drain()

    (part,) = [part for part in mail.outbox[0].message().walk() if part.get_filename()]
    assert (part.get_filename(), part.get_content_type()) == ("Week 48.pdf", "application/pdf")
    assert part.get_payload(decode=True) == b"%PDF-1.7\r\n"


def test_a_file_that_is_not_there_is_named() -> None:
    assert "'reports/gone.pdf' is not in the storage" in failure(attachments=[{"storage_name": "reports/gone.pdf"}])


def test_a_folder_is_no_file() -> None:
    default_storage.save("reports/7.bin", ContentFile(b"1"))

    assert "'reports' is not in the storage, or cannot be read" in failure(attachments=[{"storage_name": "reports"}])


def test_a_secret_is_not_taken_where_it_could_be_read(welcome: None) -> None:
    words = "gives code, which 'welcome' marks secret, and a task's arguments can be read. Call notifications.notify()"
    assert words in failure(to=({"email": ANN, "code": "1234"},), template="welcome")


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"to": []}, "to names no recipient"),
        ({"to": ANN}, f"to is no list; write ['{ANN}']"),
        ({"to": {"email": ANN}}, 'to is no list; write ["ann@example.org"]'),
        ({"to": (ANN, {"name": "Ben"})}, 'to.1 is a mapping without an address; write "ann@example.org" or {"email"'),
        ({"to": (None,)}, "to.0 is null without an address"),
        ({"to": ({"email": 7},)}, "to.0 is a mapping without an address"),
        ({"to": ("ann@",)}, "to.0 cannot be written to: 'ann@' is no e-mail address"),
        ({"to": (ANN, ANN)}, "to.1 cannot be written to: ann@example.org is in it already"),
        ({"subject": 7}, "subject is no text, but a number"),
        ({"text": 7}, "text is neither a text nor a file of the storage"),
        ({"html": {"storage_name": "week.html"}}, "html is neither a text nor a file of the storage"),
        ({"fill_in": ["Ann"]}, "fill_in is no mapping of texts; write"),
        ({"fill_in": {"": "Ann"}}, "fill_in is no mapping of texts"),
        ({"key": True}, "key is no text, but true or false"),
        ({"key": ""}, "key must be 1 to 200 printable characters"),
        ({"lane": ["bulk"]}, "lane is no text, but a list"),
        ({"lane": "express"}, "'express' does not exist; use one of default, urgent, bulk"),
        ({"category": "gossip"}, "gossip"),
        ({"context": ["name"]}, 'context is a list; give a mapping, such as {"name": "Ann"}'),
        ({"reply_to": "office@example.org"}, 'reply_to is no list of addresses; write ["office@example.org"]'),
        ({"attachments": {"storage_name": "a"}}, 'attachments is no list; write [{"storage_name"'),
        ({"attachments": ["a.pdf"]}, "attachments.0 names no file of the storage; write"),
        ({"attachments": [{"storage_name": "a", "type": "b"}]}, "attachments.0 names no file of the storage"),
        ({"template": "gone"}, "'gone' is no template"),
        ({"title": "Hello"}, "title means nothing here; there are to, template, subject, text"),
    ],
)
def test_what_is_wrong_fails_for_good_with_the_cure(kwargs: dict[str, Any], words: str) -> None:
    assert words in failure(**kwargs)
