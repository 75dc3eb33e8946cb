"""All tasks of a time in one list: each on one page and on no other, by an address that can be passed on."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.console import rights
from routing.console.all_tasks import merging, page
from routing.console.all_tasks.asked import Asked
from routing.console.all_tasks.merging import Spot
from routing.console.page_parts import message_url, result_url
from routing.console.result_list import STOPPED_AFTER
from routing.console.searching import pages
from routing.domains import registry
from routing.ledger import database
from routing.ledger.tables import Message
from tests.stored_results import in_flight, store

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 9, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
URL = "/admin/tasks/"


def urls(client: Client, query: str) -> list[str]:
    """Of the tasks on the page, in its order."""
    answer = client.get(f"{URL}{query}")
    assert answer.status_code == 200
    return re.findall(r'<th scope="row"><a class="console-link" href="([^"]*)"', answer.content.decode())


def place(client: Client, query: str, which: str) -> str:
    return str(client.get(f"{URL}{query}").context["places"][which])


def mixed(count: int, *, at: datetime = NOON) -> list[str]:
    """Finished ones and such in flight, some created at one moment; their pages, the newest first."""
    rows: list[Any] = []
    for number in range(count):
        created = at + (number // 4) * MINUTE
        rows.append(in_flight(created_at=created) if number % 2 else store(done_at=created, took=timedelta()))
    return [url_of(row) for row in sorted(rows, key=order, reverse=True)]


def order(row: Any) -> tuple[datetime, bool, Any]:
    if isinstance(row, TaskResult):
        return TaskResult.objects.get(pk=row.pk).date_created, False, row.pk
    return row.created_at, True, row.pk


def url_of(row: Any) -> str:
    return result_url(row.pk) if isinstance(row, TaskResult) else message_url(row.pk)


def test_each_task_is_on_one_page_and_on_no_other_there_and_back(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "ROWS", 3)
    wanted, query = mixed(14), "?from=2026-11-09T12:00&to=2026-11-09T13:00"
    there: list[list[str]] = []
    back: list[list[str]] = []

    while query:
        there.append(urls(admin_client, query))
        last, query = query, place(admin_client, query, "older")
    query = last
    while query:
        back.append(urls(admin_client, query))
        query = place(admin_client, query, "newer")

    assert [url for each in there for url in each] == wanted
    assert [len(each) for each in there] == [3, 3, 3, 3, 2]
    assert back == there[::-1]


def test_what_is_enqueued_and_settled_meanwhile_moves_nothing(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "ROWS", 3)
    wanted, query = mixed(6), "?from=2026-11-09T12:00"
    older = place(admin_client, query, "older")

    mixed(3, at=NOON + HOUR)

    assert urls(admin_client, older) == wanted[3:]


def test_a_time_holds_its_first_moment_and_not_its_end(admin_client: Client) -> None:
    moment = timedelta(microseconds=1)
    rows = [in_flight(created_at=at) for at in (NOON - moment, NOON, NOON + HOUR - moment, NOON + HOUR)]
    done = [store(done_at=at, took=timedelta()) for at in (NOON - moment, NOON, NOON + HOUR - moment, NOON + HOUR)]

    found = urls(admin_client, "?from=2026-11-09T12:00:00%2B00:00&to=2026-11-09T13:00:00%2B00:00")

    assert found == [url_of(each) for each in (rows[2], done[2], rows[1], done[1])]
    assert set(urls(admin_client, "?to=2026-11-09T12:00")) == {url_of(rows[0]), url_of(done[0])}


def test_by_the_finish_what_has_not_finished_is_there_whenever_it_was_created(admin_client: Client) -> None:
    late = store(done_at=NOON + MINUTE, took=5 * HOUR)
    store(done_at=NOON + 2 * HOUR, took=2 * HOUR)
    waiting, to_come = in_flight(created_at=NOON - 9 * HOUR), in_flight(created_at=NOON, due_at=NOON + 2 * HOUR)
    query = "?from=2026-11-09T12:00&to=2026-11-09T13:00&by=finished"

    assert urls(admin_client, query) == [url_of(each) for each in (to_come, late, waiting)]
    assert urls(admin_client, f"{query}&due=2026-11-09T13:00") == [url_of(each) for each in (late, waiting)]


def test_several_domains_are_asked_for_at_once(admin_client: Client) -> None:
    tasks = ("notifications.send_email", "reporting.weekly", "maintenance.prune", "nobody.knows")
    done = [store(task, done_at=NOON, took=timedelta()) for task in tasks]
    waiting = [in_flight(task, created_at=NOON) for task in tasks]

    found = urls(admin_client, "?from=2026-11-09&to=2026-11-10&domain=reporting&domain=maintenance&domain=-")

    assert set(found) == {url_of(each) for each in (*done[1:], *waiting[1:])}


def test_a_page_says_what_it_shows_and_each_row_its_state_in_words(admin_client: Client) -> None:
    store(done_at=NOON + MINUTE, status="FAILURE", took=MINUTE)
    in_flight("reporting.weekly", created_at=NOON, state="RETRY")

    text = re.sub(r"<[^>]*>", " ", admin_client.get(f"{URL}?from=2026-11-09&to=2026-11-10").content.decode())
    text = " ".join(text.split())

    assert "2 tasks Created from 9 Nov 2026, 00:00:00 to 10 Nov 2026, 00:00:00." in text
    assert "reporting.weekly Reporting waiting to retry 9 Nov 2026, 12:00:00 none yet" in text
    assert "notifications.send_email Notifications failure 9 Nov 2026, 12:00:00 9 Nov 2026, 12:01:00" in text


def test_without_a_time_the_last_day_is_shown(admin_client: Client) -> None:
    now = timezone.now()
    in_flight(created_at=now - timedelta(days=2))
    new = in_flight(created_at=now - HOUR)

    assert urls(admin_client, "") == [url_of(new)]
    assert urls(admin_client, "?from=%20&to=") == [url_of(new)]


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("query", "cure"),
    [
        ("from=yesterday", "Write a day or a moment, such as 2026-11-09"),
        ("to=2026-02-31", "Write a day or a moment"),
        ("from=0001-01-01T00:00", "Write a day or a moment"),
        ("from=2026-11-10&to=2026-11-09", "Exchange the two."),
        ("by=finished&from=2026-11-09", "Give both, such as from=2026-11-09&amp;to=2026-11-16."),
        ("by=colour", "Write by=created or by=finished."),
        ("due=2026-11-09", "Add by=finished, or leave it out."),
        ("domain=postal", f"You may see {', '.join([each.name for each in registry()])}, -."),
        ("domian=reporting", "It knows from, to, by, due, domain, before, after."),
        ("before=42", "Leave it out to begin at the newest."),
        ("after=999999999999999999-r1", "Leave it out to begin at the newest."),
        ("before=1-t%00", "Leave it out to begin at the newest."),
    ],
)
def test_a_bad_address_is_told_with_its_cure(admin_client: Client, query: str, cure: str) -> None:
    in_flight()

    answer = admin_client.get(f"{URL}?{query}")

    assert answer.status_code == 400
    assert cure in answer.content.decode()
    assert "shown" not in answer.context


class TestLimitedToADomain:
    @pytest.fixture
    def reporter(self, client: Client) -> Client:
        user = User.objects.create(username="ann", is_staff=True)
        codes = ("view_taskresult", rights.codename("reporting"))
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        client.force_login(user)
        return client

    def test_only_theirs_are_shown(self, reporter: Client) -> None:
        for task in ("notifications.send_email", "nobody.knows"):
            store(task, done_at=NOON)
            in_flight(task, created_at=NOON)
        theirs = {
            url_of(store("reporting.weekly", done_at=NOON)),
            url_of(in_flight("reporting.weekly", created_at=NOON)),
        }

        for query in (
            "?from=2026-11-09",
            "?from=2026-11-09&to=2026-11-10&by=finished",
            "?domain=reporting&to=2026-12-01",
        ):
            assert set(urls(reporter, query)) == theirs

    @pytest.mark.parametrize("domain", ["notifications", "-"])
    def test_those_of_others_cannot_be_asked_for(self, reporter: Client, domain: str) -> None:
        answer = reporter.get(f"{URL}?domain={domain}")

        assert answer.status_code == 400
        assert "You may see reporting." in answer.content.decode()


def test_who_may_not_see_results_sees_no_tasks(client: Client) -> None:
    client.force_login(User.objects.create(username="bob", is_staff=True))

    assert client.get(URL).status_code == 403


def test_a_task_whose_id_is_any_text_has_its_place() -> None:
    for text in ("order 1/2 & 3%", "7", "ö" * 255):
        spot = Spot(NOON, task_id=text)
        assert Spot.read(str(spot)) == spot
    assert Spot.read(str(Spot(NOON, 7))) == Spot(NOON, 7)


def test_where_the_time_is_up_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a domain of which there are few: each page ends where it was looked, and the next goes on from there."""
    monkeypatch.setattr(pages, "FIRST_WINDOW", 4)
    for number in range(30):
        store("reporting.weekly" if number % 10 == 0 else None, done_at=NOON + number * MINUTE, took=timedelta())
        if number % 10 == 5:
            in_flight("reporting.weekly", created_at=NOON + number * MINUTE)
    tasks = page._tasks(Asked(NOON, None, domains=("reporting",)))
    found: list[datetime] = []
    spot, cuts = None, 0

    while True:
        shown = merging.read(tasks, spot, towards_older=True, size=3, seconds=-1)
        found += [each.created_at if isinstance(each, Message) else each.date_created for each in shown.rows]
        cuts += shown.cut is not None
        if (spot := shown.older) is None:
            break

    assert found == [NOON + number * MINUTE for number in (25, 20, 15, 10, 5, 0)]
    assert cuts > 3


def test_back_from_a_page_on_which_nothing_was_found_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one row that there is was the last that was looked at on its page."""
    monkeypatch.setattr(pages, "FIRST_WINDOW", 4)
    for number in range(20):
        store("reporting.weekly" if number == 12 else None, done_at=NOON + number * MINUTE, took=timedelta())
    tasks = page._tasks(Asked(NOON, None, domains=("reporting",)))
    with_it = merging.read(tasks, None, towards_older=True, size=3, seconds=-1)
    while not with_it.rows:
        with_it = merging.read(tasks, with_it.older, towards_older=True, size=3, seconds=-1)

    empty = merging.read(tasks, with_it.older, towards_older=True, size=3, seconds=-1)
    back = merging.read(tasks, empty.newer, towards_older=False, size=3, seconds=-1)

    assert empty.rows == []
    assert back.rows == with_it.rows
    assert len(back.rows) == 1


def test_a_database_that_takes_too_long_is_stopped_and_says_so(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000000) SELECT COUNT(*) FROM n"
    monkeypatch.setattr(page, "STOPPED_AFTER", 0.05)
    monkeypatch.setattr(page, "read", lambda *_args, **_options: database.rows(slow))

    text = admin_client.get(URL).content.decode()

    assert f"The database was stopped after {STOPPED_AFTER:.0f} s, so nothing is shown." in text
