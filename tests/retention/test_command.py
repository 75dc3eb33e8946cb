"""``manage.py cleanup``: what it tells is what happens, and what happened can be looked up."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import states
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from django_celery_results.models import ChordCounter, GroupResult

from reporting.models import ReportDelivery, ReportRun
from routing.domains import Domain, Registry, Retention
from routing.ledger import retention
from routing.ledger.cleanup_tables import Cleanup, Removal
from routing.ledger.job_tables import CauseNote, Job
from routing.ledger.retention import What
from routing.ledger.schedule_tables import ScheduleEntry, ScheduleSlot
from routing.ledger.tables import DeadLetter, Termination, UniqueKey
from tests.console.conftest import viewer
from tests.retention.old_rows import store_many
from tests.stored_results import store

__all__ = ["viewer"]

pytestmark = pytest.mark.django_db

NOW = timezone.now()
DAY = timedelta(days=1)
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def domains(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Retention(success=10 * DAY, failure=20 * DAY, payload=3 * DAY, dead_letter=40 * DAY)
    registry = Registry([Domain(name="reporting", retention=kept), Domain(name="notifications")])
    monkeypatch.setattr("routing.ledger.retention.policy.registry", lambda: registry)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*options: str) -> str:
        call_command("cleanup", *options)
        return capsys.readouterr().out

    return command


def something_of_everything() -> None:
    for age in (4, 9, 11, 19, 21, 41, 100):
        for status in (states.SUCCESS, states.FAILURE, states.REVOKED, states.IGNORED):
            store_many(2, done_at=NOW - age * DAY, status=status)
        store("notifications.send_email", done_at=NOW - age * DAY)
        # Celery's own are kept by the domain that ran them.
        store("celery.chord_unlock", done_at=NOW - age * DAY, domain="reporting")
        DeadLetter.objects.create(
            task_id="x", task="x", domain="reporting", queue="q", headers="", body="", reason="failed",
            dead_at=NOW - age * DAY,
        )  # fmt: skip
        Session.objects.create(session_key=str(age), expire_date=NOW - age * DAY)
        Termination.objects.filter(pk=Termination.objects.create(task_id=str(age), owner=1, answer="over").pk).update(
            asked_at=NOW - age * DAY
        )
        UniqueKey.objects.create(key=str(age), task_id="gone", expires_at=NOW - age * DAY)
        group = GroupResult.objects.create(group_id=str(age), result="[]")
        GroupResult.objects.filter(pk=group.pk).update(date_done=NOW - age * DAY)
    ended = store("reporting.weekly", done_at=NOW - 2 * DAY)
    parts = [[[ended.task_id, None], None]]
    ChordCounter.objects.create(group_id=str(uuid4()), sub_tasks=json.dumps(parts), count=1)
    slots()
    reports()
    call_command("createcachetable", verbosity=0)
    cache.set("old", 1, timeout=-3_600)


def slots() -> None:
    """By their task's domain: what was fired as its successes, what was missed as its failures."""
    ScheduleEntry.objects.create(name="weekly", task="reporting.weekly", defined_at=NOW, anchor=NOW, decided_until=NOW)
    for age in (9, 11, 21, 100):
        for entry in ("weekly", "long gone"):
            due_at = NOW - age * DAY
            ScheduleSlot.objects.create(entry=entry, due_at=due_at, decided_at=due_at)
            ScheduleSlot.objects.create(entry=entry, due_at=due_at + DAY / 24, decided_at=due_at, missed="late")


def reports() -> None:
    for week, age in (("2020-W01", 1_200 * DAY), ("2026-W01", 30 * DAY)):
        report = ReportRun.objects.create(period=week, built_at=NOW - age, state="sent")
        ReportDelivery.objects.create(run=report, address="ann@example.com")


def test_a_dry_run_tells_exactly_what_a_run_then_removes() -> None:
    something_of_everything()

    foretold = retention.preview(now=NOW)
    pruned = retention.prune(now=NOW, pace=retention.Pace(rows=3, most=3, rest=0))

    assert foretold == pruned.removed
    kinds = {what.kind for what, count in foretold.items() if count}
    assert kinds == {
        *("results", "payloads", "dead letters", "slots", "reports", "sessions", "cache entries"),
        *("unique keys", "terminations", "groups", "lost chords"),
    }
    assert foretold[What("dead letters", "reporting", "open")] == 2
    assert foretold[What("slots", "reporting", "fired")] == 3
    assert foretold[What("slots", "reporting", "missed")] == 2
    assert foretold[What("slots", "", "fired")] == 1
    assert foretold[What("results", "reporting", "success")] == 5 * 4 + 5
    assert not retention.preview(now=NOW).total()


def test_the_report_that_goes_takes_its_deliveries_along_and_no_others() -> None:
    reports()

    retention.prune(now=NOW)

    assert [delivery.run.period for delivery in ReportDelivery.objects.all()] == ["2026-W01"]


def test_what_went_is_written_down_by_domain_outcome_and_kind() -> None:
    something_of_everything()

    pruned = retention.prune(now=NOW)

    record = Cleanup.objects.get()
    assert record.complete
    assert record.ended_at is not None
    rows = Removal.objects.filter(cleanup=record).values_list("kind", "domain", "outcome", "count")
    assert {What(*row[:3]): row[3] for row in rows} == pruned.removed


def test_records_go_after_a_year() -> None:
    retention.prune(now=NOW)
    store_many(1, done_at=NOW - 11 * DAY)
    retention.prune(now=NOW)
    Cleanup.objects.update(started_at=NOW - 366 * DAY)

    pruned = retention.prune(now=NOW)

    assert pruned.removed == {What("records of clean-ups"): 2}
    assert not Removal.objects.exclude(kind="records of clean-ups").exists()


def test_jobs_that_ended_and_notes_on_nothing_go_after_a_year() -> None:
    long_ago = NOW - 366 * DAY
    for number, (state, ended_at) in enumerate([("done", long_ago), ("done", NOW - DAY), ("open", None)]):
        Job.objects.create(verb="replay", scope="{}", state=state, ended_at=ended_at, asked_by="a", wish=str(number))
    for fingerprint in ("a", "b"):
        CauseNote.objects.create(fingerprint=fingerprint, text="the disk", by="ann", at=long_ago)
    DeadLetter.objects.create(
        task="reporting.x", domain="reporting", headers="{}", body="", fingerprint="b", dead_at=NOW
    )

    pruned = retention.prune(now=NOW)

    assert pruned.removed == {What("jobs"): 1, What("notes about causes"): 1}
    assert [job.state for job in Job.objects.order_by("pk")] == ["done", "open"]
    assert CauseNote.objects.get().fingerprint == "b"


def test_it_prints_json_for_programs(run: Run) -> None:
    store_many(2, done_at=NOW - 11 * DAY)
    row: dict[str, Any] = {"kind": "results", "domain": "reporting", "outcome": "success", "rows": 2}

    assert json.loads(run("--dry-run", "--json")) == {"rows": [row], "total": 2, "dry_run": True}
    assert json.loads(run("--json")) == {"rows": [row], "total": 2, "dry_run": False, "complete": True}
    assert json.loads(run("--history", "--json"))[0]["removed"] == [row]


def test_the_history_tells_of_one_that_was_killed(run: Run) -> None:
    assert run("--history") == "No clean-up has run yet.\n"
    store_many(2, done_at=NOW - 11 * DAY)
    retention.prune(now=NOW)
    Cleanup.objects.update(ended_at=None, complete=False)

    told = run("--history")

    assert "  runs, or was killed         2 results (reporting success)\n" in told


def test_two_questions_at_once_are_refused() -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        call_command("cleanup", "--dry-run", "--history")


def test_the_admin_shows_what_each_one_removed(viewer: Client) -> None:
    store_many(2, done_at=NOW - 11 * DAY)
    retention.prune(now=NOW)

    page = viewer.get("/admin/routing/cleanup/").content.decode()

    assert "2 results (reporting, success)" in page
    assert viewer.get(f"/admin/routing/cleanup/{Cleanup.objects.get().pk}/change/").status_code == 200
