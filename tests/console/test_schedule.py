"""The schedule in the admin: read by whoever may see results; acted on by whoever may, once, and logged."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from celery import current_app, states
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.db import connection, connections
from django.db.models.signals import pre_save
from django.test import Client
from django.test.utils import CaptureQueriesContext

from routing.console import schedule_deeds
from routing.ledger import slots
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import Message
from routing.schedule import operating
from routing.schedule.operating import last_slots
from tests.console import schedule_specimens as specimens
from tests.console import specimens as others
from tests.console.schedule_specimens import ago
from tests.services import DATABASE

pytestmark = pytest.mark.django_db(transaction=True)

ENTRIES, SLOTS = "/admin/routing/scheduleentry/", "/admin/routing/scheduleslot/"


@pytest.fixture
def operator(client: Client) -> Client:
    """Signed in as somebody who may look at results, and act on the schedule."""
    return signed_in(client, "olga", "view_taskresult", "change_scheduleentry")


@pytest.fixture
def schedule() -> None:
    specimens.registered(specimens.BUILT_IN)
    others.beat()


def signed_in(client: Client, name: str, *codenames: str) -> Client:
    user = User.objects.create(username=name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def url(name: str, verb: str = "change") -> str:
    return f"{ENTRIES}{quote(name)}/{verb}/"


def text_of(response: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def shown(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response
    return text_of(response)


def wish(client: Client, name: str = "clean-up") -> str:
    """What a view of the page that asks sends back."""
    found: str = client.get(url(name, "run")).context["wish"]
    return found


def answered(client: Client, verb: str, name: str = "clean-up", **data: str) -> str:
    return text_of(client.post(url(name, verb), data, follow=True))


@contextmanager
def held(name: str) -> Iterator[None]:
    """As by a beat in the middle of its transaction."""
    is_held, is_over = Event(), Event()

    def hold() -> None:
        try:
            with slots.transaction():
                assert slots.hold(name)
                is_held.set()
                is_over.wait(120)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(hold)
        assert is_held.wait(120)
        try:
            yield
        finally:
            is_over.set()
        done.result()


# --- The list ---------------------------------------------------------------------------------------------------------


def test_the_list_says_that_all_is_right_and_what_comes_next(operator: Client, schedule: None) -> None:
    specimens.fired("clean-up", ago(hours=1))

    text = shown(operator, ENTRIES)

    assert "The schedule is all right. Next: clean-up" in text
    assert re.search(r"clean-up all right maintenance.cleanup 0 2 \* \* \* (today|tomorrow) 02:00 \(in .*?\)", text)
    assert "success" in text
    assert re.search(r"weekly-report all right .*? never", text)


def test_each_state_has_its_word_and_what_is_wrong_its_sentence(operator: Client) -> None:
    specimens.a_schedule()
    others.beat(seconds_ago=-60)

    page = operator.get(ENTRIES)

    states_ = {row.name: row.seen.state.value for row in page.context["cl"].result_list}
    assert states_ == {
        "31-february": "broken",
        "berlin-digest": "late",
        "broken": "broken",
        "busy": "missed",
        "clean-up": "ok",
        "held": "paused",
        "stuck": "overdue",
        "sweep": "ok",
        "weekly-report": "ok",
    }
    text = text_of(page)
    assert "5 things need you." in text
    assert "the task &#x27;maintenance.clean&#x27;, which does not exist. Did you mean" in text
    assert "07:30 Europe/Berlin" in text
    assert "gone" not in text
    assert "removed" in shown(operator, f"{ENTRIES}?removed=yes")


def test_no_beat_has_run_yet(operator: Client) -> None:
    assert "No beat has run yet; it registers the entries as it starts. Start it: celery" in shown(operator, ENTRIES)


def test_nothing_is_scheduled(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current_app.conf, "beat_schedule", {})

    assert "Nothing is scheduled. Add an entry to CELERY_BEAT_SCHEDULE" in shown(operator, ENTRIES)


def test_a_beat_that_registers_nothing_is_told_from_one_that_is_absent(operator: Client) -> None:
    others.beat()

    assert "Beat runs, but has not registered its entries." in shown(operator, ENTRIES)


def test_a_long_list_asks_no_more_than_a_short_one(operator: Client) -> None:
    asked = [_questions_of_the_list(operator, entries=count, minutes=minutes) for count, minutes in ((2, 3), (30, 2))]

    assert asked[0] == asked[1]


def _questions_of_the_list(operator: Client, *, entries: int, minutes: int) -> int:
    names = [f"entry-{n}" for n in range(entries)]
    specimens.registered({name: {"task": specimens.CLEAN_UP, "schedule": 60.0} for name in names})
    for name in names:
        specimens.fired(name, ago(minutes=minutes))
    operator.get(ENTRIES)
    with CaptureQueriesContext(connection) as queries:
        operator.get(ENTRIES)
    return len(queries)


# --- An entry, and its slots ------------------------------------------------------------------------------------------


def test_an_entry_shows_what_became_of_its_last_due_times_with_links(operator: Client, schedule: None) -> None:
    specimens.fired("clean-up", ago(hours=50), late=timedelta(hours=2), status=states.FAILURE)
    failed = specimens.last_result()
    specimens.missed("clean-up", ago(hours=26))
    running = specimens.in_flight("clean-up", ago(hours=2), state=states.STARTED)

    page = operator.get(url("clean-up"))

    text = text_of(page)
    assert "clean-up was not run when due" in text
    assert "2 h late fired failure" in text
    assert "past its deadline missed -" in text
    assert "fired running" in text
    content = page.content.decode()
    assert f"/admin/django_celery_results/taskresult/{failed.pk}/change/" in content
    assert f"/admin/routing/message/{quote(running.task_id)}/change/" in content
    assert "the last one is run as soon as a beat is there" in text


def test_an_entry_that_has_never_fired_says_so(operator: Client, schedule: None) -> None:
    assert "It has never been due yet." in shown(operator, url("weekly-report"))


def test_a_slot_whose_result_is_pruned_says_so(operator: Client, schedule: None) -> None:
    specimens.fired("clean-up", ago(hours=1), status=None)

    assert "fired pruned" in shown(operator, url("clean-up"))


def test_slots_are_narrowed_by_entry_and_by_what_became_of_them(operator: Client, schedule: None) -> None:
    late = specimens.fired("clean-up", ago(hours=3), late=timedelta(hours=1))
    fired = specimens.fired("weekly-report", ago(hours=2))
    missed = specimens.missed("clean-up", ago(hours=1))
    hand = specimens.by_hand("clean-up", ago(minutes=5))

    def found(query: str) -> list[ScheduleSlot]:
        return list(operator.get(f"{SLOTS}?{query}").context["cl"].result_list)

    assert found("") == [hand, missed, fired, late]
    assert found("entry=clean-up") == [hand, missed, late]
    assert found("became=fired") == [fired, late]
    assert found("became=late") == [late]
    assert found("became=missed") == [missed]
    assert found("became=by_hand") == [hand]


def test_a_slot_leads_to_its_entry(operator: Client, schedule: None) -> None:
    slot = specimens.missed("clean-up", ago(hours=1))

    assert operator.get(f"{SLOTS}{slot.pk}/change/").headers["Location"] == url("clean-up")
    assert "t exist" in text_of(operator.get(f"{SLOTS}{slot.pk + 1}/change/", follow=True))


def test_an_entry_whose_name_is_no_path_has_its_pages(operator: Client) -> None:
    name = "a/b “c” <img src=x> ?d=%20_2F"
    specimens.registered({name: {"task": specimens.CLEAN_UP, "schedule": 60.0}})

    for address in (ENTRIES, url(name), url(name, "run"), url(name, "pause")):
        assert "<img src=x>" not in operator.get(address).content.decode(), address
    assert "is enqueued as" in answered(operator, "run", name, wish=wish(operator, name))


# --- Run now ----------------------------------------------------------------------------------------------------------


def test_it_is_asked_first_and_then_run_once_under_its_name_and_logged(operator: Client, schedule: None) -> None:
    asked = shown(operator, url("clean-up", "run"))
    assert "Run clean-up now?" in asked
    assert "What is due by the schedule comes as before:" in asked
    assert not Message.objects.exists()

    text = answered(operator, "run", wish=wish(operator))

    message, slot = Message.objects.get(), ScheduleSlot.objects.get()
    assert f"It is enqueued as {message.pk}" in text
    assert (message.task, '"periodic_task_name": "clean-up"' in message.headers) == ("maintenance.cleanup", True)
    assert (slot.task_id, slot.asked_by) == (message.pk, "olga")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == ("clean-up", f"Run by hand as {message.pk}.")


def test_the_schedules_own_slots_are_left_alone(operator: Client, schedule: None) -> None:
    before = ScheduleEntry.objects.values().get(pk="clean-up")

    answered(operator, "run", wish=wish(operator))

    assert ScheduleEntry.objects.values().get(pk="clean-up") == before


def test_a_second_click_on_the_same_page_runs_nothing(operator: Client, schedule: None) -> None:
    sent = wish(operator)
    answered(operator, "run", wish=sent)

    text = answered(operator, "run", wish=sent)

    done = Message.objects.get().pk
    assert f"clean-up has been run for this already, as {done}. Nothing was run a second time." in text
    assert Message.objects.count() == LogEntry.objects.count() == 1


def test_two_clicks_at_once_run_it_once(operator: Client, schedule: None) -> None:
    sent = wish(operator)

    def click(_number: int) -> int:
        try:
            other = Client()
            other.cookies.load(operator.cookies.output(header=""))
            return other.post(url("clean-up", "run"), {"wish": sent}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(click, range(4))) == {302}

    assert Message.objects.count() == ScheduleSlot.objects.count() == LogEntry.objects.count() == 1


def test_a_run_that_cannot_be_logged_is_not_run(operator: Client, schedule: None) -> None:
    sent = wish(operator)

    def refuse(**_: Any) -> None:
        raise RuntimeError("no room for it")

    pre_save.connect(refuse, sender=LogEntry)
    try:
        with pytest.raises(RuntimeError, match="no room"):
            operator.post(url("clean-up", "run"), {"wish": sent})
    finally:
        pre_save.disconnect(refuse, sender=LogEntry)

    assert not Message.objects.exists()
    assert not ScheduleSlot.objects.exists()


@pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite has one lock, for everybody")
def test_an_entry_that_a_beat_holds_is_left_alone(
    operator: Client, schedule: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "LOCK_FOR", 0.2)
    sent = wish(operator)

    with held("clean-up"):
        text = answered(operator, "run", wish=sent)

    assert "The database is busy with this entry; nothing was done. Try again in a moment." in text
    assert not Message.objects.exists()
    assert "is enqueued as" in answered(operator, "run", wish=sent)


def test_another_view_of_the_page_runs_it_again(operator: Client, schedule: None) -> None:
    first, second = wish(operator), wish(operator)

    answered(operator, "run", wish=first)
    answered(operator, "run", wish=second)

    assert Message.objects.count() == 2


@pytest.mark.parametrize("sent", ["", "forged", "other", "old"])
def test_a_wish_that_is_not_of_this_page_is_refused(
    operator: Client, schedule: None, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    if sent == "other":
        sent = wish(operator, "weekly-report")
    if sent == "old":
        sent = wish(operator)
        monkeypatch.setattr(schedule_deeds, "AS_SHOWN", -1)

    assert "Nothing was run" in answered(operator, "run", wish=sent)

    assert not Message.objects.exists()
    assert not ScheduleSlot.objects.exists()


def test_a_paused_entry_is_run_and_stays_paused(operator: Client, schedule: None) -> None:
    operating.pause("clean-up", by="ann", reason="x")
    assert "The entry is paused, and stays so." in shown(operator, url("clean-up", "run"))

    answered(operator, "run", wish=wish(operator))

    assert Message.objects.count() == 1
    assert operating.plan("clean-up").is_paused


def test_the_page_that_asks_tells_that_the_last_one_still_runs(operator: Client, schedule: None) -> None:
    specimens.in_flight("clean-up", ago(minutes=5), state=states.STARTED)

    assert "has not finished: running." in shown(operator, url("clean-up", "run"))


def test_a_broken_entry_is_not_run_and_says_how_to_cure_it(operator: Client) -> None:
    specimens.registered({"clean-up": {"task": "maintenance.clean", "schedule": 60.0}})
    assert "Run now…" not in shown(operator, url("clean-up"))

    text = answered(operator, "run", wish=wish(operator))

    assert "clean-up cannot be run: It runs the task &#x27;maintenance.clean&#x27;, which does not exist." in text
    assert "Correct it, and restart beat." in text
    assert not Message.objects.exists()
    assert not LogEntry.objects.exists()


def test_an_entry_whose_task_this_release_does_not_know_is_refused(operator: Client, schedule: None) -> None:
    entry = ScheduleEntry.objects.get(pk="clean-up")
    renamed = entry.definition.replace("maintenance.cleanup", "maintenance.of_tomorrow")
    ScheduleEntry.objects.filter(pk="clean-up").update(definition=renamed)

    text = answered(operator, "run", wish=wish(operator))

    assert "clean-up cannot be run here. This release has no task &#x27;maintenance.of_tomorrow&#x27;." in text
    assert not ScheduleSlot.objects.exists(), "nothing of it stays"
    assert not LogEntry.objects.exists()


# --- Pause and resume -------------------------------------------------------------------------------------------------


def test_an_entry_is_paused_with_a_reason_and_resumed_and_both_are_logged(operator: Client, schedule: None) -> None:
    assert "Pause clean-up?" in shown(operator, url("clean-up", "pause"))

    assert "clean-up is paused" in answered(operator, "pause", reason="The disk is full.")
    text = shown(operator, url("clean-up"))
    assert "by olga: The disk is full." in text
    assert ("Pause…" in text, "Resume…" in text) == (False, True)
    assert "by olga: The disk is full." in shown(operator, url("clean-up", "resume"))
    assert "clean-up goes on with what is due from now on." in answered(operator, "resume")

    assert not operating.plan("clean-up").is_paused
    logged = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(logged) == ["Paused: The disk is full.", "Resumed."]


def test_what_is_so_already_is_said_and_not_logged(operator: Client, schedule: None) -> None:
    assert "It is not paused; nothing has changed." in answered(operator, "resume")
    operating.pause("clean-up", by="ann", reason="first")

    assert "Somebody has paused it already" in answered(operator, "pause", reason="second")

    assert operating.plan("clean-up").entry.pause_reason == "first"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "a\0b", "x" * 1001])
def test_a_pause_needs_a_reason_that_can_be_kept(operator: Client, schedule: None, reason: str) -> None:
    response = operator.post(url("clean-up", "pause"), {"reason": reason})

    assert "The reason must be text of 1 to 1,000 characters" in text_of(response)
    assert not operating.plan("clean-up").is_paused
    assert not LogEntry.objects.exists()


# --- Who may ----------------------------------------------------------------------------------------------------------


def test_who_may_only_look_is_offered_nothing_and_may_do_nothing(viewer: Client, schedule: None) -> None:
    assert "Run now…" not in shown(viewer, url("clean-up"))

    for verb in ("run", "pause", "resume"):
        assert viewer.get(url("clean-up", verb)).status_code == 403
        assert viewer.post(url("clean-up", verb), {"reason": "x", "wish": "x"}).status_code == 403
    assert not Message.objects.exists()
    assert not operating.plan("clean-up").is_paused


def test_who_may_see_the_schedule_only_sees_it(client: Client, schedule: None) -> None:
    signed_in(client, "sam", "view_scheduleentry")

    assert "clean-up" in shown(client, ENTRIES)
    assert "Run now…" not in shown(client, url("clean-up"))


def test_who_may_act_on_the_schedule_may_also_look_at_it(client: Client, schedule: None) -> None:
    signed_in(client, "sam", "change_scheduleentry")

    assert "Run now…" in shown(client, url("clean-up"))


def test_a_stranger_sees_nothing_of_it(stranger: Client, schedule: None) -> None:
    for address in (ENTRIES, SLOTS, url("clean-up"), url("clean-up", "run"), url("clean-up", "pause")):
        assert stranger.get(address).status_code == 403, address


def test_who_is_not_signed_in_is_asked_to(client: Client, schedule: None) -> None:
    assert client.post(url("clean-up", "run"), {"wish": "x"}).headers["Location"].startswith("/admin/login/")


def test_nobody_changes_an_entry_by_the_stock_form(admin_client: Client, schedule: None) -> None:
    admin_client.post(url("clean-up"), {"task": "maintenance.else", "_save": "Save"})

    assert operating.plan("clean-up").entry.task == "maintenance.cleanup"
    assert admin_client.get(f"{ENTRIES}add/").status_code == 403
    assert admin_client.post(url("clean-up", "delete"), {"post": "yes"}).status_code == 403


def test_an_unknown_entry_leads_back_with_a_word(operator: Client, schedule: None) -> None:
    for verb in ("change", "run", "pause"):
        for name in ("clean-upp", "a\0b"):
            response = operator.get(url(name, verb), follow=True)
            assert "t exist" in text_of(response), verb


def test_slots_by_hand_are_the_newest(operator: Client, schedule: None) -> None:
    answered(operator, "run", wish=wish(operator))

    assert last_slots("clean-up")[0].asked_by == "olga"
    assert "by hand" in shown(operator, ENTRIES)
