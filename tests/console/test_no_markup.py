"""What tasks, callers and outsiders wrote is text on each page, and nothing in a page runs."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.db.models import CharField, Model, TextField
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django_celery_results.models import TaskResult

from routing.console import content_policy
from routing.ledger.tables import DeadLetter, Message, Process
from tests.console import schedule_specimens, specimens

pytestmark = pytest.mark.django_db(transaction=True)

MARKER = "<script>steal()</script><img src=x onerror=steal()>\"'>{{ 7 }}"
RAW = ("<script>steal()", "<img src=x", 'onerror=steal()>"', "\"'>{{ 7 }}")
LEFT_ALONE = {"id", "task_id", "message_id", "status", "state", "queue", "domain", "role", "reason"} | {
    "content_type",
    "delivery",
}
"""What pages look rows up by, or of which there are a few known values only."""


def mark(model: type[Model], **values: str) -> None:
    """Every text of every row that somebody else may have written."""
    texts = {
        field.name: MARKER
        for field in model._meta.concrete_fields
        if isinstance(field, CharField | TextField) and not field.choices and field.name not in LEFT_ALONE
        if not field.max_length or field.max_length >= len(MARKER)
    }
    model._default_manager.update(**{**texts, **values})


@pytest.fixture
def everything(client: Client) -> Client:
    day = specimens.a_busy_day()
    specimens.dead_letter(day["refused"])
    specimens.unreadable_letter()
    specimens.a_busy_hour()
    specimens.beat()
    specimens.relay()
    schedule_specimens.registered(schedule_specimens.BUILT_IN)
    quoted = '"' + MARKER.replace('"', '\\"') + '"'
    mark(TaskResult, meta="{}", content_encoding="utf-8", task_args=quoted, task_kwargs=f'{{"{"k"}": {quoted}}}')
    mark(Message, headers="{}", properties="{}", body=f"[[{quoted}], {{}}, {{}}]", progress=quoted)
    mark(DeadLetter, headers="{}", properties="{}", history="[]", body=f"[[{quoted}], {{}}, {{}}]")
    mark(Process, queues="[]", paused="[]", host="app-1")
    client.force_login(User.objects.create_superuser("ada"))
    return client


def pages() -> Iterator[str]:
    yield reverse("admin:index")
    yield f"{reverse('console:tasks')}?from=2000-01-01"
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        try:
            yield reverse(f"{name}_changelist")
        except NoReverseMatch:
            continue
        for row in model._default_manager.all()[:4]:
            yield reverse(f"{name}_change", args=[quote(row.pk)])


def test_nothing_that_was_stored_is_markup_on_any_page(everything: Client, absent_broker: int) -> None:
    seen = 0
    for url in pages():
        answer = everything.get(url)
        assert answer.status_code in (200, 302), url
        text = answer.content.decode()
        assert [raw for raw in RAW if raw in text] == [], url
        seen += "steal()" in text
    assert seen > 8, "the marker was shown, as text"


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("path", "policy"),
    [
        ("/admin/login/", content_policy.ADMIN),
        ("/api/v1/docs", content_policy.STRICT),
        ("/nowhere", content_policy.STRICT),
    ],
)
def test_no_page_lets_an_inline_script_run(client: Client, path: str, policy: str) -> None:
    sent = client.get(path)["Content-Security-Policy"]

    assert sent == policy
    scripts = sent.partition("script-src ")[2].partition(";")[0]
    assert "'unsafe-inline'" not in scripts


@pytest.mark.any_database
def test_a_page_with_a_policy_of_its_own_has_both(client: Client) -> None:
    sent = client.get("/notifications/preferences/unknown/")

    policies = sent["Content-Security-Policy"].split(", ")

    assert policies[-1] == content_policy.STRICT
