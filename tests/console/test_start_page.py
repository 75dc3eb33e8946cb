"""The start page: a verdict first, then each domain."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from celery import states
from django.test import Client
from django.utils import timezone
from kombu import Connection
from pytest_django import DjangoAssertNumQueries

from reporting.rollups import gathering
from routing.console import glance
from tests import stored_results
from tests.console import specimens
from tests.console.conftest import Serve
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def words(client: Client) -> str:
    response = client.get("/admin/")
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def card(client: Client, domain: str) -> Any:
    overview = client.get("/admin/").context["overview"]
    return next(view for view in overview.domains if view.domain.name == domain)


def figure(client: Client, domain: str, name: str) -> Any:
    return next(each for each in card(client, domain).figures if each.name == name)


@pytest.mark.broker
def test_all_is_well_in_one_sentence(viewer: Client, serve: Serve) -> None:
    serve()
    specimens.beat()
    specimens.relay()

    assert "All is well: 5 queues served, beat alive." in words(viewer)


@pytest.mark.broker
def test_a_queue_without_a_worker_is_named_with_its_cure(viewer: Client, serve: Serve) -> None:
    serve("notifications", "notifications.urgent", "reporting", "maintenance")
    specimens.beat()

    assert "No worker serves notifications.bulk. Start one: manage.py pool notifications.bulk" in words(viewer)


@pytest.mark.broker
def test_no_workers_at_all_is_one_thing_and_not_five(viewer: Client, clean_broker: Connection) -> None:
    text = words(viewer)

    assert "3 things need you." in text
    assert "No worker runs, so no task does." in text
    assert "No beat runs" in text
    assert "No relay runs" in text


@pytest.mark.broker
def test_dead_letters_and_strays_are_worth_a_look(viewer: Client, serve: Serve, clean_broker: Connection) -> None:
    serve()
    specimens.beat()
    specimens.relay()
    producer = clean_broker.Producer()
    producer.publish("dead", exchange="taskyard.dead", routing_key="reporting")
    producer.publish("lost", exchange="taskyard", routing_key="nowhere")

    until(lambda: "reporting.dead (1), taskyard.unrouted (1)" in words(viewer), what="both messages")


@pytest.mark.broker
def test_ready_messages_are_counted_by_queue(viewer: Client, clean_broker: Connection) -> None:
    clean_broker.Producer().publish("x", exchange="taskyard", routing_key="notifications.bulk")

    def depth() -> int:
        lane = next(lane for lane in card(viewer, "notifications").lanes if lane.pool.name.endswith("bulk"))
        return int(lane.depth.ready)

    assert until(lambda: depth() == 1)


def test_rows_are_counted_by_domain(viewer: Client, absent_broker: int) -> None:
    yesterday = timezone.now() - timedelta(hours=25)
    stored_results.store(status=states.FAILURE, done_at=yesterday, queue="notifications")
    gathering.roll_up(budget=timedelta(seconds=5))
    specimens.dead_letter(specimens.a_busy_day()["refused"])
    running = specimens.a_busy_hour()["running"]
    specimens.in_flight("reporting.weekly", state="COUNTING", owner=running.owner)

    mail, report = card(viewer, "notifications"), card(viewer, "reporting")

    # The failure of yesterday no longer counts; a state that a task made up is one of running.
    numbers = mail.numbers
    assert (numbers.waiting, numbers.later, numbers.running, sum(numbers.failed), mail.dead) == (5, 2, 0, 1, 1)
    numbers = report.numbers
    assert (numbers.waiting, numbers.later, numbers.running, sum(numbers.failed), report.dead) == (0, 0, 2, 0, 0)


def test_figures_lead_to_the_rows_they_count(viewer: Client, absent_broker: int) -> None:
    failed = specimens.a_busy_day()["refused"]

    response = viewer.get(figure(viewer, "notifications", "Failed in 24 h").url)

    assert [row.pk for row in response.context["cl"].result_list] == [failed.pk]

    running = specimens.a_busy_hour()["running"]
    # What was read a moment ago is shown again.
    glance.NOW, glance.PAST = glance.readings()
    response = viewer.get(figure(viewer, "reporting", "Running").url)
    assert [row.pk for row in response.context["cl"].result_list] == [running.pk]


def test_an_absent_broker_is_a_sentence_on_a_page_that_works(viewer: Client, absent_broker: int) -> None:
    specimens.beat()

    text = words(viewer)

    assert f"RabbitMQ cannot be reached at 127.0.0.1:{absent_broker}. Start it" in text
    assert "hush" not in text


def test_a_frozen_broker_does_not_hold_the_page_up(viewer: Client, frozen_broker: int) -> None:
    began = time.monotonic()
    text = words(viewer)

    assert time.monotonic() - began < 4
    assert "RabbitMQ does not answer" in text


def test_the_page_asks_the_database_little(
    viewer: Client, absent_broker: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    specimens.a_busy_day()

    # Session, user, two for permissions, recent actions, the bell; what it tells is asked elsewhere, within a time.
    with django_assert_max_num_queries(6):
        viewer.get("/admin/")


def test_whoever_may_not_see_results_is_told_nothing_of_the_pipeline(stranger: Client) -> None:
    text = words(stranger)

    assert "notifications" not in text
    assert "RabbitMQ" not in text


def test_the_sidebar_leads_with_the_overview_and_the_results(admin_client: Client, absent_broker: int) -> None:
    groups = admin_client.get("/admin/").context["sidebar_navigation"]

    assert [item["title"] for item in groups[0]["items"]] == [
        "Overview",
        "Queues and pools",
        "Tasks in flight",
        "Task results",
        "Dead letters",
        "Causes of failures",
        "Schedule",
        "Slots",
        "Handbook",
    ]
    assert groups[-1]["title"] == "Authentication and Authorization"
