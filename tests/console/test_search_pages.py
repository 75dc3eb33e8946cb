"""Pages of results: each row once, whatever arrives or goes meanwhile; counts that say how exact they are; limits."""

import random
from datetime import timedelta
from itertools import count

import pytest
from celery import states
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.console.searching import counts, pages
from routing.console.searching.counts import Count
from routing.console.searching.finished import Question, question
from routing.console.searching.limit import TookTooLong, time_limit
from routing.console.searching.pages import Page, Place, Reading
from routing.console.searching.parser import parse
from routing.console.searching.words import vocabulary
from routing.ledger import database
from routing.ledger.results import task_names
from tests.console.specimens import result

pytestmark = pytest.mark.django_db

NOW = timezone.now()
SIZE = 7


def asked(line: str = "") -> Question:
    return question(parse(line, known=vocabulary(), now=NOW).terms, names=task_names)


def page(line: str = "", place: Place | None = None, *, older: bool = True, seconds: float = 60) -> Page:
    reading = Reading(TaskResult.objects.all(), asked(line), place, towards_older=older)
    return pages.read(reading, size=SIZE, seconds=seconds)


def some(number: int = 40) -> list[int]:
    """Many of one moment, as bulk calls make them; the keys, newest first."""
    chance = random.Random(3)  # noqa: S311
    for _ in range(number):
        result(
            chance.choice(["notifications.send_email", "reporting.weekly"]),
            status=chance.choice([states.SUCCESS, states.FAILURE, states.REVOKED]),
            enqueued=NOW.replace(microsecond=0) - timedelta(seconds=chance.randint(0, 3), microseconds=120_000),
            kwargs={"to": chance.choice(["ada", "bob"])},
        )
    return [row.pk for row in TaskResult.objects.order_by("-date_created", "-pk")]


SEARCHES = [
    "",
    "state:failure,revoked",
    "task:*.* state:failure",
    "domain:reporting",
    "args.to:ada",
    "state:success ada",
]


@pytest.mark.parametrize("line", SEARCHES)
def test_each_row_is_on_one_page_however_many_are_of_one_moment(line: str) -> None:
    everything = some()
    wanted = set(TaskResult.objects.filter(asked(line).whole).values_list("pk", flat=True))
    seen, place = [], None

    for _ in count():
        read = page(line, place)
        seen += [row.pk for row in read.rows]
        if read.older is None:
            break
        assert len(read.rows) == SIZE
        place = read.older

    assert seen == [pk for pk in everything if pk in wanted]


def test_back_to_the_newest_page_by_page() -> None:
    everything = some()
    third = page("", page("", page().older).older)

    second = page("", third.newer, older=False)
    first = page("", second.newer, older=False)

    assert [row.pk for row in second.rows] == everything[SIZE : 2 * SIZE]
    assert [row.pk for row in first.rows] == everything[:SIZE]
    assert first.newer is None


def test_what_arrives_or_goes_meanwhile_moves_no_other_row() -> None:
    everything = some()
    seen, place = [], None

    for turn in count():
        read = page("", place)
        seen += [row.pk for row in read.rows]
        if read.older is None:
            break
        place = read.older
        # New ones, one that was enqueued long ago and finishes now, and a clean-up that takes the row on the edge.
        result()
        result(enqueued=NOW - timedelta(seconds=1.5))
        if turn == 1:
            TaskResult.objects.filter(pk=place.key).delete()

    assert len(seen) == len(set(seen))
    assert set(everything) <= set(seen)


def test_rows_of_the_ledgers_own_clock_follow_each_other() -> None:
    """On SQLite that writes three digits, and Django six or none."""
    for _ in range(SIZE * 2):
        result()
    clock = "date_trunc('milliseconds', clock_timestamp())" if database.on_postgresql() else "'2026-11-12 10:00:00.120'"
    database.execute(f"UPDATE django_celery_results_taskresult SET date_created = {clock}")  # noqa: S608

    first = page()
    second = page("", first.older)

    assert len({row.pk for row in (*first.rows, *second.rows)}) == SIZE * 2
    assert second.older is None


@pytest.mark.parametrize("line", ["args.to:nobody", "nobody task:*.*"])
def test_a_search_without_an_index_stops_in_time_and_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(pages, "FIRST_WINDOW", 10)
    some()
    last = result(enqueued=timedelta(days=3), kwargs={"to": "nobody"})

    turns, found = [page(line, seconds=0)], []
    while turns[-1].cut:
        assert turns[-1].older == turns[-1].cut
        turns.append(page(line, turns[-1].older, seconds=0))
    for each in turns:
        found += each.rows

    assert len(turns) == 5
    assert found == [last]


@pytest.mark.parametrize(
    ("line", "words"),
    [("", "40 results"), ("task:reporting.weekly", "{} results"), ("task:none", "0 results"), ("args.to:ada", "None")],
)
def test_few_are_counted(line: str, words: str) -> None:
    some()

    assert str(counts.count(TaskResult.objects.all(), asked(line))) == words.format(
        TaskResult.objects.filter(task_name="reporting.weekly").count()
    )


def test_many_are_estimated_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "EXACT_UP_TO", 30)
    some()
    if database.on_postgresql():
        database.execute("ANALYZE django_celery_results_taskresult")

    found = counts.count(TaskResult.objects.all(), asked())

    assert found == Count(40, exact=False, estimate=True)
    assert str(found) == "about 40 results (estimated)"


def test_what_cannot_be_estimated_is_more_than_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "EXACT_UP_TO", 30)
    some()

    # Three rows by the statistics, or nobody knows.
    found = counts.count(TaskResult.objects.all(), asked("since:1d until:0s state:success,failure,revoked"))

    assert found is not None
    assert not found.exact


def test_a_statement_that_takes_too_long_is_stopped_and_the_next_one_is_not() -> None:
    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

    with pytest.raises(TookTooLong), time_limit(0.2):
        database.rows(forever)

    assert database.rows("SELECT 1 AS one") == [{"one": 1}]
    if database.on_postgresql():
        assert database.rows("SELECT current_setting('statement_timeout') AS value") == [{"value": "0"}]


@pytest.mark.parametrize("text", ["", "soon", "1-", "-5-1", "9" * 18 + "-1", "1-1 OR 1=1"])
def test_a_place_that_is_none_is_not_read(text: str) -> None:
    assert Place.read(text) is None


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place(NOW, 81)

    assert Place.read(str(place)) == place
