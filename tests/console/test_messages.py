"""Tasks in flight and dead letters: found, read, and never changed."""

import re
from datetime import timedelta
from typing import Any

import pytest
from celery import states
from django.contrib.admin.utils import quote
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from routing.ledger import pauses
from routing.ledger.tables import DeadLetter, Message, Outbox, Process
from tests.console import specimens
from tests.console.specimens import BULK, in_flight, result
from tests.console.test_result_page import EVIL, words

pytestmark = pytest.mark.django_db

LIST = "/admin/routing/message/"
LETTERS = "/admin/routing/deadletter/"


def rows(client: Client, url: str = LIST, **filters: str) -> list[Any]:
    response = client.get(url, filters)
    assert response.status_code == 200, response.content[:500]
    return list(response.context["cl"].result_list)


def page(client: Client, row: Message) -> str:
    response = client.get(f"{LIST}{quote(row.pk)}/change/")
    assert response.status_code == 200
    return response.content.decode()


def cells(client: Client) -> dict[str, str]:
    html = client.get(LIST).content.decode()
    found = re.findall(r'<(?:td|th) class="[^"]*field-(\w+)[^"]*"[^>]*>(.*?)</(?:td|th)>', html, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]*>", "", cell).split()) for name, cell in found}


def test_a_row_says_where_since_when_and_on_which_worker(viewer: Client) -> None:
    owner = specimens.worker()
    started_at = timezone.now() - timedelta(seconds=20)
    in_flight(
        "reporting.weekly",
        enqueued=timedelta(minutes=5),
        state=states.STARTED,
        attempt=2,
        owner=owner.pk,
        started_at=started_at,
        error="TransientError: come back later",
    )

    row = cells(viewer)

    assert re.fullmatch(r"2\d s so far, app-1", row.pop("running"))
    assert row == {
        "name": "reporting.weekly",
        "queue": "reporting",
        "state_label": "running",
        "attempt": "2",
        "enqueued": "5 minutes ago",
        "due": "-",
        "last_error": "TransientError: come back later",
    }


def test_filters_by_domain_queue_and_state(viewer: Client) -> None:
    hour = specimens.a_busy_hour()

    assert rows(viewer, domain="reporting") == [hour["running"]]
    assert hour["waiting"] in rows(viewer, queue=BULK)
    assert rows(viewer, state=states.RETRY) == [hour["retrying"]]
    assert rows(viewer, queue="nowhere") == []


def test_search_by_the_exact_task_id(viewer: Client) -> None:
    wanted = in_flight()
    in_flight()

    assert rows(viewer, q=f" {wanted.pk.upper()} ") == [wanted]
    assert rows(viewer, q=wanted.pk[:8]) == []


def test_the_search_knows_the_whole_language_and_adds_up_with_the_filters(viewer: Client) -> None:
    hour = specimens.a_busy_hour()

    assert rows(viewer, q="state:running worker:reporting") == [hour["running"]]
    assert rows(viewer, q="waited:>1m args.subject:Reminder") == [hour["scheduled"]]
    assert rows(viewer, q='error:"come back"', queue="notifications") == [hour["retrying"]]
    assert rows(viewer, q="task:reporting.*", queue=BULK) == []


def test_a_search_that_cannot_be_read_shows_nothing_but_why(viewer: Client) -> None:
    in_flight()

    response = viewer.get(LIST, {"q": "stat:x"})

    assert list(response.context["cl"].result_list) == []
    assert "Did you mean state:?" in response.content.decode()


def test_what_is_not_in_rabbitmq_yet_is_not_ahead(viewer: Client) -> None:
    first = in_flight(enqueued=timedelta(minutes=3))
    unpublished = in_flight(enqueued=timedelta(minutes=2))
    Outbox.objects.create(message_id=unpublished.pk, epoch=1, queue=unpublished.queue, due_at=unpublished.due_at)
    in_flight(enqueued=timedelta(minutes=2), state=states.STARTED, owner=specimens.worker().pk)
    last = in_flight(enqueued=timedelta(minutes=1))

    assert "It lies in RabbitMQ, for a worker" in words(page(viewer, first))
    assert "It lies in RabbitMQ, behind 1 other, for a worker" in words(page(viewer, last))


def test_search_for_a_task_that_has_finished_leads_to_its_result(viewer: Client) -> None:
    row = result()

    html = viewer.get(LIST, {"q": row.task_id}).content.decode()

    assert "This task has finished." in html
    assert f"/taskresult/{row.pk}/change/" in html


def test_a_link_to_a_task_that_has_finished_since_leads_to_its_result(viewer: Client) -> None:
    row = result()

    response = viewer.get(f"{LIST}{quote(row.task_id)}/change/")

    assert response.headers["Location"] == f"/admin/django_celery_results/taskresult/{row.pk}/change/"


def test_the_number_of_queries_does_not_grow_with_the_rows(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    specimens.a_busy_hour()

    # Session, user, two for permissions, the count, the rows and their workers, the bell;
    # on PostgreSQL the limit to their time, with its savepoint.
    with django_assert_max_num_queries(8 if connection.vendor == "sqlite" else 12):
        viewer.get(LIST)


def test_bodies_are_not_loaded_for_the_list(viewer: Client) -> None:
    in_flight()

    assert rows(viewer)[0].get_deferred_fields() == {"body", "headers", "properties", "progress"}


@pytest.mark.parametrize(
    ("specimen", "sentence"),
    [
        ("running", "It runs on reporting@app-1, process 983."),
        ("waiting", "It lies in RabbitMQ, behind 3 others, for a worker of notifications.bulk to take it"),
        ("retrying", "It is not due yet. A relay publishes it at"),
        ("scheduled", "It is not due yet. A relay publishes it at"),
        ("unpublished", "It could not be published yet: RabbitMQ refused it: the queue is full. A relay tries again"),
    ],
)
def test_the_page_says_where_the_task_is(viewer: Client, specimen: str, sentence: str) -> None:
    assert sentence in words(page(viewer, specimens.a_busy_hour()[specimen]))


def test_the_page_names_what_nothing_would_move(viewer: Client) -> None:
    orphan = in_flight(state=states.STARTED, owner=4711)
    stray = in_flight(queue="notifications.express")

    assert "Its worker died. A relay gives the task to another one" in words(page(viewer, orphan))
    assert "No domain declares its queue notifications.express." in words(page(viewer, stray))


def test_the_page_of_a_task_in_a_paused_queue_says_so(viewer: Client) -> None:
    pauses.pause(BULK, by="ann", reason="The mail server is down.")

    assert f"{BULK} has been paused since" in words(page(viewer, in_flight(queue=BULK)))


def test_a_publication_of_an_older_epoch_is_not_what_it_waits_for(viewer: Client) -> None:
    row = in_flight(epoch=2)
    Outbox.objects.create(message_id=row.pk, epoch=1, queue=row.queue, due_at=timezone.now())

    assert "It lies in RabbitMQ" in words(page(viewer, row))


def test_a_task_that_waits_for_a_relay_says_so(viewer: Client) -> None:
    row = in_flight()
    Outbox.objects.create(message_id=row.pk, epoch=1, queue=row.queue, due_at=row.due_at)

    assert "It waits for a relay to publish it." in words(page(viewer, row))


def test_arguments_progress_and_what_follows_are_readable(viewer: Client) -> None:
    row = in_flight(
        args=[7],
        kwargs={"to": ["zoë"]},
        embed={"callbacks": [{"task": "reporting.part"}], "chord": None},
        state="COUNTING",
        progress='{"done": 3}',
    )

    text = words(page(viewer, row))

    assert "Progress { &quot;done&quot;: 3 }" in text
    assert "Arguments { &quot;to&quot;: [ &quot;zoë&quot; ] } Positional arguments [ 7 ]" in text
    assert "reporting.part" in text
    assert "chord" not in text


def test_the_last_error_is_shown(viewer: Client) -> None:
    text = words(page(viewer, specimens.a_busy_hour()["retrying"]))

    assert "TransientError The mail server asks to come back: 421 4.7.0 Too many connections" in text


def test_a_parent_may_be_finished_or_in_flight(viewer: Client) -> None:
    root, parent = result(), in_flight()

    html = page(viewer, in_flight(root_id=root.task_id, parent_id=parent.pk))

    assert f"/taskresult/{root.pk}/change/" in html
    assert f"{LIST}{quote(parent.pk)}/change/" in html


@pytest.mark.parametrize("body", ["", "no JSON <b>", "[]", "[1, 2, 3]", "[[], {}, null]", "7", "null"])
def test_a_body_of_another_shape_breaks_nothing(viewer: Client, body: str) -> None:
    row = in_flight()
    Message.objects.filter(pk=row.pk).update(body=body, headers=body, progress=body)

    assert page(viewer, row)


def test_nothing_a_task_brings_is_taken_for_html(viewer: Client) -> None:
    row = in_flight(EVIL, id=EVIL, queue=EVIL, state=EVIL[:50], error=f"E: {EVIL}", kwargs={EVIL: EVIL}, parent_id=EVIL)
    specimens.dead_letter(result(EVIL, task_id=EVIL))

    for html in (page(viewer, row), viewer.get(LIST).content.decode(), viewer.get(LETTERS).content.decode()):
        assert '<script>alert("x")' not in html
        assert "<img src=x" not in html


def test_dead_letters_lead_to_their_results(viewer: Client) -> None:
    refused = specimens.a_busy_day()["refused"]
    letter = specimens.dead_letter(refused)

    html = viewer.get(LETTERS).content.decode()

    assert rows(viewer, LETTERS, q=refused.task_id) == [letter]
    assert f"/taskresult/{refused.pk}/change/" in html
    assert "PermanentError: The mail server refuses ada@example.org" in html
    assert viewer.get(f"{LETTERS}{letter.pk}/change/").status_code == 200


def test_whoever_may_not_see_results_sees_neither(stranger: Client) -> None:
    row, letter = in_flight(), specimens.dead_letter(result())

    for url in (LIST, f"{LIST}{quote(row.pk)}/change/", LETTERS, f"{LETTERS}{letter.pk}/change/"):
        assert stranger.get(url).status_code == 403


@pytest.mark.parametrize("action", ["add/", "{pk}/delete/", "{pk}/change/"])
def test_not_even_an_administrator_changes_anything(admin_client: Client, action: str) -> None:
    row, letter = in_flight(), specimens.dead_letter(result())

    for url, key in ((LIST, quote(row.pk)), (LETTERS, str(letter.pk))):
        assert admin_client.post(url + action.format(pk=key), {"post": "yes"}).status_code == 403
    assert (Message.objects.count(), DeadLetter.objects.count(), Process.objects.count()) == (1, 1, 0)
