"""The list of results: what a row says, how it is narrowed, who may see it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import states
from django.contrib.admin.utils import quote
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult
from pytest_django import DjangoAssertNumQueries, Settings

from routing.domains import Domain, Registry
from routing.ledger import database
from tests.console import specimens
from tests.console.specimens import BULK, result

pytestmark = pytest.mark.django_db

LIST = "/admin/django_celery_results/taskresult/"


def rows(client: Client, **filters: str) -> list[TaskResult]:
    response = client.get(LIST, filters)
    assert response.status_code == 200, response.content[:500]
    return list(response.context["cl"].result_list)


def cells(client: Client) -> dict[str, str]:
    """The first row's cells, by column, without tags."""
    page = client.get(LIST).content.decode()
    found = re.findall(r'<(?:td|th) class="[^"]*field-(\w+)[^"]*"[^>]*>(.*?)</(?:td|th)>', page, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]*>", "", cell).split()) for name, cell in found}


def test_a_row_says_what_where_and_how_long(viewer: Client) -> None:
    result(queue=BULK, enqueued=timedelta(minutes=5), waited=timedelta(seconds=3), ran=timedelta(milliseconds=250))

    assert cells(viewer) == {
        "task": "notifications.send_email",
        "domain": "Notifications",
        "queue": "notifications.bulk",
        "state": "success",
        "enqueued": "5 minutes ago",
        "waited": "3.0 s",
        "ran": "250 ms",
        "worker_name": "app-1",
    }


@pytest.mark.parametrize(
    ("status", "word", "waited", "ran"),
    [
        (states.PENDING, "waiting", "3 h so far", "-"),
        (states.STARTED, "running", "1 h", "2 h so far"),
        (states.RETRY, "waiting to retry", "1 h", "-"),
        (states.FAILURE, "failure", "1 h", "2.0 s"),
        ("PROGRESS", "progress", "1 h", "-"),
    ],
)
def test_states_are_in_peoples_words(viewer: Client, status: str, word: str, waited: str, ran: str) -> None:
    # So long that the seconds which a slow machine takes to show the page are not told.
    result(status=status, enqueued=timedelta(hours=3), waited=timedelta(hours=1), ran=timedelta(seconds=2))

    row = cells(viewer)

    assert (row["state"], row["waited"], row["ran"]) == (word, waited, ran)
    assert f'title="{status}"' in viewer.get(LIST).content.decode()


def test_what_was_revoked_before_it_started_neither_waits_nor_ran(viewer: Client) -> None:
    result(status=states.REVOKED, waited=None)

    row = cells(viewer)

    assert (row["waited"], row["ran"], row["worker_name"]) == ("-", "-", "-")


def test_the_newest_come_first_page_by_page(viewer: Client) -> None:
    created = [result(enqueued=timedelta(minutes=age)).pk for age in range(60)]

    first = viewer.get(LIST)
    older = viewer.get(LIST + first.context["cl"].older_url)
    newer = viewer.get(LIST + older.context["cl"].newer_url)

    assert [row.pk for row in first.context["cl"].result_list] == created[:50]
    assert [row.pk for row in older.context["cl"].result_list] == created[50:]
    assert [row.pk for row in newer.context["cl"].result_list] == created[:50]


def test_links_to_other_pages_keep_what_was_asked_for_and_other_filters_begin_anew(viewer: Client) -> None:
    for age in range(60):
        result(enqueued=timedelta(minutes=age))

    first = viewer.get(LIST, {"q": "state:success", "domain": "notifications"}).context["cl"]
    response = viewer.get(LIST + first.older_url)
    second, page = response.context["cl"], response.content.decode()

    assert len(second.result_list) == 10
    assert (second.query, second.get_query_string()) == ("state:success", "?domain=notifications&q=state%3Asuccess")
    assert page.count("before=") == 0
    assert 'rel="prev"' in page
    assert "60 results" in page


@pytest.mark.parametrize("place", [{"before": "soon"}, {"after": "1-"}, {"before": "9" * 30}])
def test_an_address_that_names_no_place_says_so_and_shows_the_newest(viewer: Client, place: dict[str, str]) -> None:
    result()

    response = viewer.get(LIST, place)

    assert len(response.context["cl"].result_list) == 1
    assert "The address names no place in the list." in response.content.decode()


def test_the_number_of_queries_does_not_grow_with_the_rows(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    specimens.a_busy_day()

    # Session, user, two for permissions, states of older releases, the places of the page and its rows, the bell;
    # on PostgreSQL the limit to their time, with its savepoint.
    with django_assert_max_num_queries(8 if connection.vendor == "sqlite" else 12):
        viewer.get(LIST)


def test_arguments_and_results_are_not_loaded_for_the_list(viewer: Client) -> None:
    result(outcome="x" * 1000)

    assert rows(viewer)[0].get_deferred_fields() == {"result", "traceback", "task_args", "task_kwargs"}


def test_filter_by_domain(viewer: Client) -> None:
    mail, report = result(), result("reporting.weekly", queue="reporting")
    # Maintenance claims this name by itself; no prefix leads there.
    cleanup = result("celery.backend_cleanup", queue="maintenance")
    unlock = result("celery.chord_unlock", queue="reporting")
    gone = result("billing.charge", queue="billing")

    assert rows(viewer, domain="notifications") == [mail]
    assert set(rows(viewer, domain="reporting")) == {report, unlock}
    assert rows(viewer, domain="maintenance") == [cleanup]
    assert rows(viewer, domain="-") == [gone]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("shop.*", {"shop.pay", "shop.pay2"}),
        ("shop.pay", {"shop.pay"}),
        ("shop.pay?", {"shop.pay2"}),
        ("*.pay[0-9]", {"shop.pay2"}),
        ("*.pay[!0-9]", {"shopping.pays"}),
        ("shop*", {"shop.pay", "shop.pay2", "shopping.pays"}),
    ],
)
def test_every_kind_of_pattern_filters_as_it_routes(
    viewer: Client, monkeypatch: pytest.MonkeyPatch, pattern: str, matching: set[str]
) -> None:
    domain = Domain(name="shop", tasks=(pattern,))
    monkeypatch.setattr("routing.console.result_filters.registry", lambda: Registry([domain]))
    monkeypatch.setattr("routing.console.searching.finished.registry", lambda: Registry([domain]))
    names = ["shop.pay", "shop.pay2", "shopping.pays", "other.pay"]
    for name in names:
        result(name)

    assert {row.task_name for row in rows(viewer, domain="shop")} == matching
    assert {name for name in names if domain.claims(name)} == matching


def test_filter_by_state_and_task(viewer: Client) -> None:
    failed = result(status=states.FAILURE)
    weekly = result("reporting.weekly", queue="reporting")

    assert rows(viewer, state=states.FAILURE) == [failed]
    assert rows(viewer, task="reporting.weekly") == [weekly]


def test_only_states_that_rows_can_have_are_offered(viewer: Client) -> None:
    def offered() -> list[str]:
        (states_filter,) = [each for each in viewer.get(LIST).context["cl"].filter_specs if each.title == "state"]
        return [value for value, _word in states_filter.lookup_choices]

    outcomes = [states.SUCCESS, states.FAILURE, states.REVOKED, states.IGNORED]
    assert offered() == outcomes

    result(status=states.RETRY)
    assert offered() == [*outcomes, states.RETRY]


def test_a_task_that_the_code_no_longer_has_can_be_filtered_by_its_url(viewer: Client) -> None:
    gone = result("billing.charge")
    result()

    assert rows(viewer, task="billing.charge") == [gone]


def test_a_day_begins_at_midnight_of_the_sites_time_zone(viewer: Client, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    before = result(enqueued=datetime(2026, 11, 11, 14, 59, tzinfo=UTC))
    within = result(enqueued=datetime(2026, 11, 11, 15, 1, tzinfo=UTC))

    with timezone.override(None):
        assert rows(viewer, day="2026-11-12") == [within]
        assert rows(viewer, day="2026-11-11") == [before]


@pytest.mark.parametrize("filters", [{"day": "soon"}, {"domain": "nowhere"}, {"state": "'"}, {"day": "9999-12-31"}])
def test_a_filter_that_makes_no_sense_breaks_nothing(viewer: Client, filters: dict[str, str]) -> None:
    assert viewer.get(LIST, filters).status_code in (200, 302)


def test_filters_add_up(viewer: Client) -> None:
    result(status=states.FAILURE, queue="reporting", name="reporting.weekly")
    wanted = result(status=states.FAILURE)
    result()

    today = timezone.localdate().isoformat()

    assert rows(viewer, domain="notifications", state=states.FAILURE, day=today) == [wanted]


def test_search_by_task_id(viewer: Client) -> None:
    wanted = result()
    result()

    assert rows(viewer, q=f" {wanted.task_id.upper()} ") == [wanted]


def test_search_for_a_task_in_flight_leads_to_it(viewer: Client) -> None:
    row = specimens.in_flight()

    page = viewer.get(LIST, {"q": row.pk}).content.decode()

    assert "Not finished yet" in page
    assert f"/admin/routing/message/{quote(row.pk)}/change/" in page


def test_what_is_in_flight_is_found_too_with_what_it_waits_for(viewer: Client) -> None:
    specimens.a_busy_hour()

    page = viewer.get(LIST, {"q": "domain:notifications waited:>20s"}).content.decode()

    assert "It is not due yet. A relay publishes it at" in page
    assert "It could not be published yet: RabbitMQ refused it: the queue is full." in page
    assert "It runs on" not in page
    assert "It runs on reporting@app-1, process 983." in viewer.get(LIST, {"q": "worker:app-1"}).content.decode()


def test_of_many_in_flight_a_few_are_shown_and_the_others_linked(viewer: Client) -> None:
    for _ in range(7):
        specimens.in_flight()

    page = viewer.get(LIST, {"q": "task:notifications.*"}).content.decode()

    assert page.count("It lies in RabbitMQ") == 5
    assert 'href="/admin/routing/message/?q=task%3Anotifications.%2A"' in page


def test_when_looking_among_those_in_flight_takes_too_long_it_leads_there(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forever(*_args: Any, **_options: Any) -> Any:
        database.rows("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    monkeypatch.setattr("routing.console.found_in_flight.SECONDS", 0.2)
    monkeypatch.setattr("routing.console.found_in_flight.list", forever, raising=False)
    wanted = result()

    response = viewer.get(LIST, {"q": "state:success"})

    assert list(response.context["cl"].result_list) == [wanted]
    assert "too many tasks in flight to look through here" in response.content.decode()


@pytest.mark.parametrize("text", ["zoë@example.org", 'say "hi"', "50%_off", "zoë"])
def test_search_by_text_in_the_arguments(viewer: Client, text: str) -> None:
    by_name = result(kwargs={"recipients": ['zoë@example.org: say "hi" 50%_off']})
    result(kwargs={"recipients": ["50% off, zo"]})

    assert rows(viewer, q=text) == [by_name]


def test_search_in_positional_arguments(viewer: Client) -> None:
    wanted = result(task_args='["order-77"]')
    result()

    assert rows(viewer, q="order-77") == [wanted]


def test_a_search_that_runs_out_of_time_says_how_far_it_came_and_goes_on(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.console.result_list.SECONDS", 0)
    monkeypatch.setattr("routing.console.searching.pages.FIRST_WINDOW", 1)
    old = result(kwargs={"to": "ada"}, enqueued=timedelta(hours=3))
    for age in range(60):
        result(enqueued=timedelta(minutes=age))

    first = viewer.get(LIST, {"q": "ada"})
    page = first.content.decode()
    second = viewer.get(LIST + first.context["cl"].older_url)

    assert list(first.context["cl"].result_list) == []
    assert "No index serves ada, so a page takes at most" in page
    assert "Look further back" in page
    assert list(second.context["cl"].result_list) == [old]


def test_a_statement_that_is_stopped_leaves_a_page_that_says_what_to_do(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forever(*_args: Any, **_options: Any) -> Any:
        database.rows("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    monkeypatch.setattr("routing.console.result_list.STOPPED_AFTER", 0.2)
    monkeypatch.setattr("routing.console.searching.pages.read", forever)
    result()

    page = viewer.get(LIST).content.decode()

    assert "The database was stopped after" in page
    assert "Name a task, a domain, a state or a time" in page


def test_a_search_that_cannot_be_read_shows_nothing_but_why(viewer: Client) -> None:
    result()

    response = viewer.get(LIST, {"q": 'stat:failure <b> since:"soon"'})
    page = response.content.decode()

    assert list(response.context["cl"].result_list) == []
    assert "The search cannot be read, so nothing is shown." in page
    assert "Did you mean state:?" in page
    assert "“soon” is no time." in page


def test_the_search_and_the_filters_add_up(viewer: Client) -> None:
    result(status=states.FAILURE, kwargs={"to": "bob"})
    wanted = result(status=states.FAILURE, kwargs={"to": "ada"})
    result("reporting.weekly", status=states.FAILURE, queue="reporting", kwargs={"to": "ada"})
    result(kwargs={"to": "ada"})

    assert rows(viewer, q="state:failure args.to:ada", domain="notifications") == [wanted]
    assert rows(viewer, q="state:success", state=states.FAILURE) == []


def test_what_is_chosen_as_a_whole_is_what_matches(viewer: Client) -> None:
    result()
    wanted = [result(status=states.FAILURE) for _ in range(3)]

    changes = viewer.get(LIST, {"q": "state:failure"}).context["cl"]

    assert set(changes.get_queryset(viewer.get(LIST, {"q": "state:failure"}).wsgi_request)) == set(wanted)
    assert changes.result_count == 3


def test_nobody_sees_results_without_signing_in(client: Client) -> None:
    response = client.get(LIST)

    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("admin:login"))


def test_staff_without_permission_sees_no_results(stranger: Client) -> None:
    row = result()

    assert stranger.get(LIST).status_code == 403
    assert stranger.get(f"{LIST}{row.pk}/change/").status_code == 403


@pytest.mark.parametrize("page", ["add/", "{pk}/delete/"])
def test_not_even_an_administrator_adds_or_deletes_a_result(admin_client: Client, page: str) -> None:
    row = result()

    assert admin_client.post(LIST + page.format(pk=row.pk), {"post": "yes"}).status_code == 403
    assert TaskResult.objects.count() == 1


def test_not_even_an_administrator_changes_a_result(admin_client: Client) -> None:
    row = result()

    assert admin_client.post(f"{LIST}{row.pk}/change/", {"status": "FAILURE"}).status_code == 403
    row.refresh_from_db()
    assert row.status == states.SUCCESS


@pytest.mark.parametrize("evil", ['<script>alert("x")</script>', '"><img src=x onerror=alert(1)>'])
def test_whatever_a_task_is_called_is_shown_as_text(viewer: Client, evil: str) -> None:
    fields: dict[str, Any] = {"status": evil[:50], "meta": {"queue": evil}}
    row = result(evil, **fields)
    TaskResult.objects.filter(pk=row.pk).update(worker=evil)

    page = viewer.get(LIST, {"task": evil}).content.decode()

    assert evil not in page
    assert "onerror=alert(1)>" not in page
