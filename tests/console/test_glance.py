"""What the start page tells in figures, and where it leads whoever has to act."""

import re
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from celery import states
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from reporting.rollups import gathering
from routing import history
from routing.console import cures, glance, handbook
from routing.console.glance import Past
from routing.console.hour_lines import HourLine, count_words
from routing.console.readings import Reading
from routing.ledger import database, newest, pulse
from routing.ledger.pulse_tables import LastAudit, QueueHour
from routing.ledger.tables import Message, Tally
from tests import stored_results
from tests.console import specimens
from tests.console.test_start_page import card, figure, words
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

BULK = "notifications.bulk"
HOUR = timedelta(hours=1)


def ended(ago: timedelta, *, status: str = states.SUCCESS, queue: str = BULK, took: float = 1) -> None:
    at = timezone.now() - ago
    stored_results.store(
        done_at=at, status=status, took=timedelta(seconds=took), queue=queue, domain=queue.partition(".")[0]
    )


def rolled_up() -> None:
    gathering.roll_up(budget=timedelta(seconds=10))


def test_each_hour_of_the_last_day_has_its_figures_by_queue_and_domain() -> None:
    ended(25 * HOUR)
    ended(3 * HOUR, took=4)
    ended(3 * HOUR, status=states.FAILURE, took=8)
    ended(3 * HOUR, queue="notifications.urgent")
    rolled_up()

    day = history.past_day()

    assert day.hours == pulse.hours(database.now())
    bulk, mail = day.queues[BULK], day.domains["notifications"]
    assert (sum(bulk.finished), bulk.finished[-4], bulk.failed[-4]) == (2, 2, 1)
    assert (sum(mail.finished), mail.finished[-4]) == (3, 3)
    assert bulk.runs[-4]
    assert timedelta(seconds=7.5) < bulk.runs[-4] < timedelta(seconds=8.5)
    assert bulk.runs[-1] is None


def test_what_nobody_has_counted_yet_is_added_once(viewer: Client, absent_broker: int) -> None:
    ended(HOUR, status=states.FAILURE)
    rolled_up()
    ended(timedelta(minutes=2), status=states.FAILURE)
    ended(timedelta(minutes=1))

    numbers = card(viewer, "notifications").numbers

    assert (sum(numbers.failed), sum(numbers.finished)) == (2, 3)
    assert figure(viewer, "notifications", "Rate").words == "0.4/min"


def test_a_table_that_grows_fast_is_not_read_to_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "SAMPLE", 3)
    for second in (5, 4, 3, 2, 1):
        ended(timedelta(seconds=12 * second))

    found = newest.read(after=0)

    assert found.cut
    assert found.finished[BULK] == 3
    # Three in the last 36 s.
    assert 4.5 < found.per_minute[BULK] < 5.5


def test_whatever_other_programs_wrote_into_meta_breaks_nothing() -> None:
    for meta in ("no JSON", '{"queue": 7}', "[]", "{}", None):
        row = specimens.result()
        type(row).objects.filter(pk=row.pk).update(meta=meta)

    assert newest.read(after=0).finished == {"": 5}


def test_of_each_hour_the_worst_is_kept(absent_broker: int) -> None:
    worker = specimens.worker("notifications.bulk@app-1")
    type(worker).objects.update(queues='["notifications.bulk"]')
    waits = [specimens.in_flight(queue=BULK, enqueued=timedelta(seconds=90)) for _ in range(3)]
    specimens.in_flight(queue=BULK, due_at=timezone.now() + HOUR)
    pulse.take()
    Message.objects.filter(pk__in=[row.pk for row in waits]).delete()
    type(worker).objects.all().delete()
    pulse.take()

    seen = QueueHour.objects.get(queue=BULK)

    assert (seen.waiting, seen.running, seen.workers) == (3, 0, 0)
    assert 85 < seen.wait < 120


def test_old_hours_go(absent_broker: int) -> None:
    specimens.a_day_of_hours()
    QueueHour.objects.create(
        hour=timezone.now() - timedelta(days=4), queue=BULK, waiting=1, wait=1, running=1, workers=1
    )

    pulse.take()

    assert not QueueHour.objects.filter(hour__lt=timezone.now() - timedelta(days=3)).exists()


def test_a_line_says_what_it_shows() -> None:
    hours = pulse.hours(timezone.now())
    line = HourLine(hours, [None, *range(23)], count_words)
    flat: HourLine[float] = HourLine(hours, [0] * 24, count_words)

    assert line.words.startswith("24 h: at most 22, at ")
    assert line.path.count("M") == 23
    assert "v-16h3" in line.path
    assert flat.words == "24 h: always 0"
    assert HourLine(hours, [None] * 24, count_words).words == "24 h: nothing is known"


def test_books_that_do_not_balance_are_the_first_thing_said(viewer: Client, absent_broker: int) -> None:
    Tally.objects.create(domain="notifications", accepted=3)
    specimens.in_flight()

    text = words(viewer)

    assert "The books of notifications do not balance: 2 tasks in flight are missing." in text
    assert "Books do not balance" in text
    assert "never audited with all results" in text


def test_the_last_audit_is_told(viewer: Client, absent_broker: int) -> None:
    Tally.objects.create(domain="notifications", accepted=1, finished=1)

    with pytest.raises(SystemExit) as ended_with:
        call_command("audit")

    assert ended_with.value.code == 1
    assert LastAudit.objects.get().balances is False
    text = words(viewer)
    assert "1 had finished, and its result is gone" in text
    assert "found a difference" in text


def test_figures_that_do_not_come_are_left_out_and_the_page_comes(
    viewer: Client, absent_broker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands, may_go = threading.Event(), threading.Event()

    def hang() -> Any:
        stands.set()
        may_go.wait(60)

    monkeypatch.setattr(glance, "PATIENCE", 0.3)
    monkeypatch.setattr(glance, "NOW", Reading(hang, name="hangs"))
    monkeypatch.setattr(glance, "PAST", Reading(hang, name="hangs"))

    found = [each.words for each in card(viewer, "notifications").figures]

    assert stands.is_set()
    assert found == ["?", "?", "?", "?", "?", "?", "?", "0"]
    may_go.set()


def test_nobody_waits_for_a_newer_history_while_the_one_before_is_still_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, stands, may_go = [0.0], threading.Event(), threading.Event()

    def ask() -> Past:
        if clock[0]:
            stands.set()
            may_go.wait(60)
        return Past()

    monkeypatch.setattr(glance, "PATIENCE", 50.0)
    monkeypatch.setattr(glance, "LESS_PATIENCE", 50.0)
    monkeypatch.setattr(glance, "PAST", Reading(ask, name="hangs", clock=lambda: clock[0]))
    first = glance.take(deadline=glance.begin()).past
    clock[0] = glance.STILL_GOOD - 1

    began = time.monotonic()
    second = glance.take(deadline=glance.begin()).past

    assert second is first
    assert time.monotonic() - began < 25
    assert stands.wait(60)
    may_go.set()
    until(lambda: glance.take(deadline=glance.begin()).past is not first, what="the newer one")


def test_many_failures_are_worth_a_look(viewer: Client, absent_broker: int) -> None:
    for _ in range(11):
        ended(timedelta(minutes=3), status=states.FAILURE)

    assert "11 of 11 messages of 24 hours failed, more than the target of notifications allows." in words(viewer)


def test_the_part_that_changes_comes_by_itself(viewer: Client, absent_broker: int) -> None:
    text = viewer.get("/admin/overview/").content.decode()

    assert "RabbitMQ cannot be reached" in text
    assert "<html" not in text


def test_whoever_may_not_see_results_gets_no_part_of_it(stranger: Client, absent_broker: int) -> None:
    assert stranger.get("/admin/overview/").status_code == 403
    assert Client().get("/admin/overview/").status_code == 302


@pytest.mark.any_database
def test_every_cure_leads_to_a_part_of_the_handbook(stranger: Client) -> None:
    text = stranger.get("/admin/handbook/operations/").content.decode()

    for part in {*cures.PARTS.values(), cures.INCIDENTS}:
        assert f'id="{part}"' in text, part
    assert cures.url("lane reporting") == "/admin/handbook/operations/#a-queue-is-growing"
    assert 'href="/admin/handbook/lifecycle/#the-schedule"' in text


@pytest.mark.any_database
@pytest.mark.parametrize("name", ["nothing", "../README", "..%2F..%2Fetc/passwd", "operations.md", "\0"])
def test_the_handbook_is_nothing_but_the_documents(stranger: Client, name: str) -> None:
    assert stranger.get(f"/admin/handbook/{name}/").status_code == 404


@pytest.mark.any_database
def test_every_link_between_documents_leads_somewhere(stranger: Client) -> None:
    pages = {path.stem: stranger.get(f"/admin/handbook/{path.stem}/") for path in handbook.FOLDER.glob("*.md")}
    texts = {name: page.content.decode() for name, page in pages.items()}

    for name, text in texts.items():
        for target, part in re.findall(r'href="/admin/handbook/([\w-]+)/#([\w-]+)"', text):
            assert f'id="{part}"' in texts[target], f"{name} leads to {target}#{part}"


def test_without_its_database_the_console_names_the_cure(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("connection to server at 10.0.0.7 failed: Connection refused, user hush")

    connection.close()
    monkeypatch.setattr(connection, "connect", away)

    answer = viewer.get("/admin/")

    text = answer.content.decode()
    assert answer.status_code == 503
    assert "The database cannot be reached. Start it, or correct DATABASE_URL." in text
    assert "nobody is declared dead for that time" in text, "as the handbook says"
    assert "hush" not in text
