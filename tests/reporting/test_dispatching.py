"""Each few minutes, what is due is built and sent: once to each, at their hour, or late rather than never."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from notifications.bodies import filled_in
from reporting import reports
from reporting.documents.cells import Tone
from reporting.documents.document import Document
from reporting.models import ReportDelivery, ReportEdition, ReportRun, Subscription
from reporting.retention import ReportRuns
from reporting.runs import building, dispatching, sending
from reporting.subscribing import choosing
from reporting.weeks import Week
from routing.ledger.tables import Message
from tests.reporting.subscribers import BEGAN, keys, mailed, mails, subscribe
from tests.stored_results import store

pytestmark = pytest.mark.django_db

W46 = Week(2026, 46)
NINE = datetime(2026, 11, 16, 9, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def dispatch(now: datetime) -> int:
    return sum(done.sent for done in dispatching.dispatch(now=now))


def state() -> str:
    return ReportRun.objects.get().state


def test_it_is_built_before_the_first_hour_and_sent_at_it() -> None:
    subscribe()

    assert dispatch(NINE - HOUR) == 0
    assert not ReportRun.objects.exists()

    assert dispatch(NINE - 20 * MINUTE) == 0
    assert state() == ReportRun.State.BUILT

    assert dispatch(NINE) == 1
    assert state() == ReportRun.State.SENT
    assert keys() == ["weekly:2026-W46:ann@example.org"]


def test_each_gets_it_at_their_own_hour_and_once() -> None:
    subscribe("berlin@example.org", time_zone="Europe/Berlin")
    subscribe("Friday@Example.org", weekday=4)

    assert [dispatch(moment) for moment in (NINE - HOUR, NINE, NINE + HOUR)] == [1, 0, 0]
    assert state() == ReportRun.State.SENDING
    assert [dispatch(NINE + 4 * DAY + late * MINUTE) for late in (0, 5)] == [1, 0]
    assert state() == ReportRun.State.SENT
    assert keys() == ["weekly:2026-W46:berlin@example.org", "weekly:2026-W46:friday@example.org"]


def test_a_slot_missed_while_all_was_down_is_made_up_for() -> None:
    subscribe(counts_from=NINE - 365 * DAY)

    assert dispatch(NINE + 8 * DAY) == 4
    assert keys() == [f"weekly:2026-W{number}:ann@example.org" for number in (44, 45, 46, 47)]


def test_what_was_due_before_somebody_subscribed_is_not_theirs() -> None:
    subscribe(counts_from=NINE + MINUTE)

    assert dispatch(NINE + HOUR) == 0
    assert dispatch(NINE + 7 * DAY) == 1
    assert keys() == ["weekly:2026-W47:ann@example.org"]


def test_what_was_due_in_a_pause_is_not_made_up_for() -> None:
    one = subscribe()
    choosing.pause(one)

    assert dispatch(NINE) == 0

    choosing.resume(one)
    Subscription.objects.update(counts_from=NINE + HOUR)
    assert dispatch(NINE + 2 * HOUR) == 0
    assert dispatch(NINE + 7 * DAY) == 1


def test_somebody_who_unsubscribes_between_the_building_and_the_hour_gets_nothing() -> None:
    subscribe("bob@example.org")
    one = subscribe("ann@example.org")
    dispatch(NINE - 10 * MINUTE)

    choosing.end(one)
    dispatch(NINE)

    assert mailed() == ["bob@example.org"]


def test_those_who_chose_domains_get_an_edition_of_their_own() -> None:
    subscribe("all@example.org")
    subscribe("some@example.org", domains="notifications")

    assert dispatch(NINE) == 2

    editions = {edition.domains: edition for edition in ReportEdition.objects.all()}
    assert sorted(editions) == ["", "notifications"]
    assert Document.from_json(editions["notifications"].document).domains == ("notifications",)
    assert ReportDelivery.objects.get(address="some@example.org").edition == editions["notifications"]


def test_each_mail_has_the_link_of_its_own_recipient_and_no_other() -> None:
    one, other = subscribe("ann@example.org"), subscribe("bob@example.org")
    dispatch(NINE)

    for mail in mails():
        mine, others = (one, other) if mail["to"] == ["ann@example.org"] else (other, one)
        for part in filled_in(mail).values():
            assert f"/reports/subscriptions/{mine.pk}:" in part
            assert f"/reports/subscriptions/{others.pk}:" not in part
            assert ".invalid" not in part


def test_a_mails_task_holds_the_names_of_files_and_not_what_is_in_them() -> None:
    subscribe("ann@example.org")
    subscribe("bob@example.org", hour=10)
    dispatch(NINE)
    dispatch(NINE + HOUR)

    ann, bob = mails()
    assert (ann["html"], ann["text"]) == (bob["html"], bob["text"])
    assert max(map(len, Message.objects.values_list("body", flat=True))) < 1_500


def test_a_mail_says_what_it_said_when_it_was_enqueued() -> None:
    subscribe()
    dispatch(NINE)
    before = filled_in(mails()[0])
    store(done_at=W46.starts_at)

    building.rebuild(reports.named("weekly"), W46, now=NINE)
    sending.send_again(ReportRun.objects.get(), number=2)

    first, second = map(filled_in, mails())
    assert first == before
    assert "Corrected" in second["text"]


def test_a_file_of_letters_that_a_death_has_cut_short_is_not_used() -> None:
    subscribe("ann@example.org")
    subscribe("bob@example.org", hour=10)
    dispatch(NINE)
    path = Path(default_storage.path(mails()[0]["html"]["storage_name"]))
    path.write_bytes(path.read_bytes()[:1_000])

    dispatch(NINE + HOUR)

    bob = next(mail for mail in mails() if mail["to"] == ["bob@example.org"])
    assert "</html>" in filled_in(bob)["html"]


def test_what_a_process_of_the_release_before_has_begun_is_gone_on_with_once() -> None:
    """It made Ann's row and died, and had sent Bob his."""
    for name in ("ann", "bob", "cyd"):
        subscribe(f"{name}@example.org")
    run = ReportRun.objects.create(period=str(W46), state="built", figures={"week": str(W46)}, progress=100)
    begun = ReportDelivery.objects.create(run=run, address="Ann@example.org")
    ReportDelivery.objects.create(run=run, address="bob@example.org", enqueued_at=NINE)

    assert [dispatch(NINE), dispatch(NINE + 5 * MINUTE)] == [2, 0]

    begun.refresh_from_db()
    assert mailed() == ["ann@example.org", "cyd@example.org"]
    assert Message.objects.filter(pk=str(begun.task_id), task="notifications.notify").exists()
    assert begun.key == "weekly:2026-W46:ann@example.org"
    assert state() == ReportRun.State.SENT


def test_the_forms_are_kept_as_files() -> None:
    subscribe()
    dispatch(NINE)

    files = ReportEdition.objects.get().files
    assert {"html", "text", "csv"} <= set(files)
    assert all(default_storage.exists(name) for name in files.values())


def test_a_run_that_is_pruned_takes_its_files_and_letters_with_it(tmp_path: Path) -> None:
    subscribe(attached="csv")
    dispatch(NINE)
    assert [path for path in tmp_path.rglob("*") if path.is_file()]

    for _ in range(2):
        ReportRuns(NINE).delete([run.pk for run in ReportRun.objects.all()])

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not ReportRun.objects.exists()


def test_the_mail_is_a_notification_that_can_be_unsubscribed_from() -> None:
    subscribe()
    dispatch(NINE)

    assert (mails()[0]["category"], mails()[0]["lane"]) == ("reports", "bulk")


def test_two_that_looked_at_the_same_time_send_once() -> None:
    """The second has read who waits before the first committed, as PostgreSQL lets it."""
    subscribe()
    run = building.ensure(reports.named("weekly"), W46, now=NINE)
    people, desk = list(Subscription.objects.all()), sending._Desk(run)

    sent = [sending._hand_over(run, people, desk=desk, times={}) for _ in range(2)]

    assert sent == [1, 0]
    assert keys() == ["weekly:2026-W46:ann@example.org"]
    assert str(ReportDelivery.objects.get().task_id) == Message.objects.get().pk


def test_all_of_a_run_read_the_same_though_it_is_built_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe("ann@example.org")
    subscribe("bob@example.org", hour=11)
    dispatch(NINE)
    monkeypatch.setattr(type(reports.named("weekly")), "conclude", lambda *_: pytest.fail("built again"))

    assert dispatch(NINE + 2 * HOUR) == 1


def test_a_report_that_cannot_be_built_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe()
    subscribe("ann@example.org", report="broken-now")
    break_something(monkeypatch)
    weekly = type(reports.named("weekly"))
    with monkeypatch.context() as broken:
        broken.setattr(weekly, "conclude", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            dispatch(NINE)
        # The same again is no news: not every five minutes a dead letter.
        dispatch(NINE + MINUTE)
        broken.setattr(weekly, "conclude", lambda *_: [][0])
        with pytest.raises(IndexError):
            dispatch(NINE + 2 * MINUTE)
    run = ReportRun.objects.get(report="weekly")
    assert (run.state, run.problem) == (ReportRun.State.FAILED, "IndexError: list index out of range")

    assert dispatch(NINE + 5 * MINUTE) == 1
    assert keys() == ["broken-now:2026-11-16:ann@example.org", "weekly:2026-W46:ann@example.org"]
    assert ReportRun.objects.get(report="weekly").problem == ""


def break_something(monkeypatch: pytest.MonkeyPatch, *, from_now_on: bool = True) -> None:
    kind = type(reports.named("broken-now"))
    conclude = kind.conclude
    tone = Tone.BAD if from_now_on else Tone.GOOD
    monkeypatch.setattr(kind, "conclude", lambda *given: replace(conclude(*given), tone=tone))


@pytest.fixture
def digest() -> Subscription:
    return subscribe(report="broken-now", hour=7)


def test_the_digest_comes_each_day_while_something_is_broken(
    digest: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_something(monkeypatch)

    assert [dispatch(NINE + hours * HOUR) for hours in (-3, -2, 1, 22, 24)] == [0, 1, 0, 1, 0]
    assert keys() == [f"broken-now:2026-11-{day}:ann@example.org" for day in (16, 17)]


def test_nobody_is_told_that_nothing_is_broken_and_not_later_that_day_either(
    digest: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_something(monkeypatch, from_now_on=False)
    assert dispatch(NINE) == 0
    assert state() == ReportRun.State.QUIET

    subscribe("late@example.org", report="broken-now", hour=15)
    break_something(monkeypatch)
    assert dispatch(NINE + 6 * HOUR) == 1
    assert mailed() == ["late@example.org"]


def test_a_missed_digest_comes_late_but_not_after_the_next(
    digest: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_something(monkeypatch)
    subscribe("evening@example.org", report="broken-now", hour=23)

    # At one at night, both have missed that of the 16th; at eight, one of them has the next one instead.
    choosing.pause(digest)
    assert dispatch(NINE + 16 * HOUR) == 1
    Subscription.objects.update(paused_at=None)
    assert dispatch(NINE + 23 * HOUR) == 1
    assert keys() == ["broken-now:2026-11-16:evening@example.org", "broken-now:2026-11-17:ann@example.org"]


def test_people_of_many_hours_are_asked_for_a_few_at_a_time() -> None:
    Subscription.objects.bulk_create(
        Subscription(email=f"r{hour}-{day}@example.org", hour=hour, weekday=day, counts_from=BEGAN, time_zone="UTC")
        for hour in range(24)
        for day in range(3)
    )

    assert dispatch(NINE + 3 * DAY) == 72
