"""Jobs: each row once, whoever dies or comes twice; a cause is replayed in stages, and no further once it is back."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from routing.console.jobs import asking, carrying, stages, verbs
from routing.console.jobs.asking import AtWork
from routing.console.jobs.scopes import OfCause
from routing.ledger import fingerprint, job_tasks
from routing.ledger.job_tables import Job
from routing.ledger.tables import DeadLetter, Message
from routing.tasks import do_job
from routing.testing import drain
from tests.console.test_causes import CAUSES, text_of
from tests.ledger.test_cancel import together
from tests.ledger.test_causes import FULL, LOST, letters
from tests.workers import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)

BREAKS = "reporting.breaks_if_told"
broken: list[bool] = []


@pytest.fixture
def breaks() -> Iterator[str]:
    """A task that fails always alike, while ``broken`` says so."""

    @current_app.task(name=BREAKS, shared=False)
    def breaks_if_told(number: int = 0) -> None:
        if broken:
            raise ValueError("The disk is full")

    broken[:] = [True]
    yield BREAKS
    broken.clear()
    current_app.tasks.pop(BREAKS, None)


@pytest.fixture
def olga(db: None) -> User:
    user = User.objects.create(username="olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_taskresult", "change_deadletter"]))
    return user


@pytest.fixture
def operator(client: Client, olga: User) -> Client:
    client.force_login(olga)
    return client


def failed(breaks: str, count: int) -> str:
    """So many tasks have failed; their fingerprint."""
    for number in range(count):
        current_app.tasks[breaks].delay(number=number)
    drain(raises=False)
    fingerprint.work_out()
    (found,) = set(DeadLetter.objects.values_list("fingerprint", flat=True))
    return str(found)


def replay_of(cause: str, olga: User, *, wish: str = "w") -> Job:
    until = stages.newest_letter()
    count = DeadLetter.objects.filter(fingerprint=cause, state="open").count()
    return asking.ask(
        verbs.REPLAY,
        OfCause(cause, "open", until),
        user=olga,
        told="told",
        expected=count,
        wish=wish,
        fingerprint=cause,
        plan=stages.plan(count, until=until),
    )


def discarding(olga: User, *, wish: str = "w", cause: str = LOST) -> Job:
    scope = OfCause(cause, "open", stages.newest_letter())
    return asking.ask(verbs.DISCARD, scope, user=olga, told="told", expected=None, wish=wish, fingerprint=cause)


def states() -> dict[str, int]:
    found = list(DeadLetter.objects.order_by("pk").values_list("state", flat=True))
    return {state: found.count(state) for state in set(found)}


def works(job: Job) -> None:
    """Its tasks run, and all that they enqueue, until nothing moves any more."""
    assert do_job.name == job_tasks.TASK
    drain(due_only=False, raises=False)
    job.refresh_from_db()


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("total", "sizes"),
    [(0, []), (1, [1]), (5, [1, 4]), (11, [1, 10]), (500, [1, 10, 489]), (5_000, [1, 10, 50, 4_939])],
)
def test_stages_are_one_ten_a_hundredth_and_all(total: int, sizes: list[int]) -> None:
    assert [stage.size for stage in stages.plan(total, until=0).stages] == sizes


def test_a_mended_cause_is_replayed_to_the_end_in_stages(breaks: str, olga: User) -> None:
    job = replay_of(failed(breaks, 14), olga)
    broken.clear()

    works(job)

    assert (job.state, states()) == ("done", {"replayed": 14})
    assert [(stage["size"], stage["done"], stage["over"]) for stage in json.loads(job.stages)["stages"]] == [
        (1, 1, True),
        (10, 10, True),
        (3, 3, False),
    ]
    assert json.loads(job.outcomes) == {"replayed": 14}


def test_a_cause_that_comes_back_stops_its_replay_after_one(breaks: str, olga: User) -> None:
    cause = failed(breaks, 14)
    job = replay_of(cause, olga)

    works(job)

    assert job.state == "returned"
    assert states() == {"open": 14, "replayed": 1}, "the one that was replayed has come back as a letter of its own"
    assert f"dead letter {DeadLetter.objects.latest('pk').pk}" in job.trouble

    broken.clear()
    assert asking.go_on(job, user=olga)
    works(job)
    assert (job.state, states()) == ("done", {"open": 1, "replayed": 14}), "what came back is no part of the job"


def test_a_cause_that_strikes_elsewhere_meanwhile_stops_nothing(breaks: str, olga: User) -> None:
    cause = failed(breaks, 3)
    job = replay_of(cause, olga)
    letters(2, fingerprint=cause)
    broken.clear()

    works(job)

    assert (job.state, states()) == ("done", {"open": 2, "replayed": 3})


def test_a_stage_waits_until_its_last_task_has_ended(breaks: str, olga: User) -> None:
    job = replay_of(failed(breaks, 14), olga)

    assert carrying.carry_on(job.pk, turn=1) == "open"

    assert states() == {"open": 13, "replayed": 1}
    assert Message.objects.filter(task=BREAKS).count() == 1
    job.refresh_from_db()
    assert job.turn == 2
    assert carrying.carry_on(job.pk, turn=2) == "open"
    assert states() == {"open": 13, "replayed": 1}


def test_what_others_decide_meanwhile_is_theirs(breaks: str, olga: User) -> None:
    job = replay_of(failed(breaks, 3), olga)
    DeadLetter.objects.update(state="discarded", decided_by="ann")

    works(job)

    assert (job.state, states(), json.loads(job.outcomes)) == ("done", {"discarded": 3}, {})


def test_a_job_ends_in_batches_and_counts_each_row_once(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    letters(7)
    letters(1, fingerprint=FULL)
    monkeypatch.setitem(verbs.VERBS, "discard", verbs.Verb("discard", "", verbs.DISCARD.act, 3, "discarded"))
    job = discarding(olga)

    works(job)

    assert (job.state, job.seen, json.loads(job.outcomes)) == ("done", 7, {"discarded": 7})
    assert states() == {"discarded": 7, "open": 1}


def test_whose_turn_is_over_does_nothing(olga: User) -> None:
    letters(3)
    job = discarding(olga)
    Job.objects.update(turn=2)

    assert carrying.carry_on(job.pk, turn=1) == "open"

    assert states() == {"open": 3}
    assert Message.objects.filter(task=do_job.name).count() == 1, "it hands on to nobody"


def test_a_button_pressed_twice_is_one_job(olga: User) -> None:
    letters(1)

    assert discarding(olga).pk == discarding(olga).pk
    assert (Job.objects.count(), LogEntry.objects.count(), Message.objects.count()) == (1, 1, 1)


def test_two_people_have_one_job_at_work_on_a_cause(olga: User) -> None:
    letters(1)
    first = discarding(olga)

    with pytest.raises(AtWork) as refused:
        discarding(olga, wish="another")
    assert refused.value.job == first
    assert Message.objects.count() == 1

    works(first)
    assert discarding(olga, wish="another").pk != first.pk


def test_a_stopped_job_does_nothing_more_until_it_goes_on(olga: User) -> None:
    letters(2)
    job = discarding(olga)

    assert (asking.stop(job, user=olga), asking.stop(job, user=olga)) == (True, False)
    works(job)
    assert (job.state, job.stopped_by, states()) == ("stopped", "olga", {"open": 2})

    assert (asking.go_on(job, user=olga), asking.go_on(job, user=olga)) == (True, False)
    works(job)
    assert (job.state, states()) == ("done", {"discarded": 2})


def test_a_stopped_job_does_not_go_on_beside_another_of_its_cause(olga: User) -> None:
    letters(1)
    job = discarding(olga)
    asking.stop(job, user=olga)
    discarding(olga, wish="another")

    with pytest.raises(AtWork):
        asking.go_on(job, user=olga)


def test_what_cannot_be_done_breaks_the_job_off_and_says_why(olga: User) -> None:
    letters(1)
    job = discarding(olga)
    Job.objects.update(scope='{"kind": "nonsense"}')

    works(job)

    assert (job.state, job.trouble) == ("failed", "KeyError: 'nonsense'")
    assert states() == {"open": 1}


@pytest.mark.parametrize("fault", ["job.written:2", "job.committed:2", "job.handed_on"])
def test_after_a_kill_each_row_was_done_once_or_not_at_all(olga: User, fault: str) -> None:
    letters(501)
    job = discarding(olga)

    assert _killed(job, fault) == -signal.SIGKILL

    job.refresh_from_db()
    done = {"job.written:2": 500, "job.committed:2": 501, "job.handed_on": 500}[fault]
    assert (job.seen, states().get("discarded", 0)) == (done, done)
    works(job)
    assert (job.state, job.seen, json.loads(job.outcomes)) == ("done", 501, {"discarded": 501})


def _killed(job: Job, fault: str) -> int:
    seconds = -1 if fault == "job.handed_on" else 60
    code = (
        "import django; django.setup(); from routing.console.jobs.carrying import carry_on; "
        f"carry_on({job.pk}, turn={job.turn}, seconds={seconds})"
    )
    environs = {**environment(), "TASKYARD_FAULT": fault, "DJANGO_SETTINGS_MODULE": "project.settings"}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environs, timeout=120, check=False).returncode


def test_of_two_at_once_each_row_is_done_by_one(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    letters(40)
    monkeypatch.setitem(verbs.VERBS, "discard", verbs.Verb("discard", "", verbs.DISCARD.act, 3, "discarded"))
    job = discarding(olga)

    together(*[lambda: carrying.carry_on(job.pk, turn=1)] * 2)

    job.refresh_from_db()
    assert (job.state, job.seen, json.loads(job.outcomes)) == ("done", 40, {"discarded": 40})
    histories = DeadLetter.objects.values_list("history", flat=True)
    assert {len(json.loads(history)) for history in histories} == {1}


def test_of_two_who_press_the_button_at_once_one_has_asked(olga: User) -> None:
    letters(1)

    together(*[lambda: discarding(olga)] * 2)

    assert (Job.objects.count(), Message.objects.count(), LogEntry.objects.count()) == (1, 1, 1)


def test_a_cause_is_replayed_in_stages_from_its_page(operator: Client, breaks: str) -> None:
    cause = failed(breaks, 2)
    broken.clear()

    asked = text_of(operator, f"{CAUSES}{cause}/replay/")
    assert "Replay in stages: 2 dead letters?" in asked
    assert not Job.objects.exists()
    text = text_of(operator, f"{CAUSES}{cause}/replay/", {"wish": "abc"})
    text_of(operator, f"{CAUSES}{cause}/replay/", {"wish": "abc"})

    assert "It begins as soon as a worker of the maintenance domain is free." in text
    assert "A job of olga is at work on it." in text_of(operator, f"{CAUSES}{cause}/")
    job = Job.objects.get()
    assert LogEntry.objects.get().change_message == f"Replay: {BREAKS}: ValueError: The disk is full"
    works(job)
    assert job.state == "done"
    assert "All of it is done." in text_of(operator, f"/admin/routing/job/{job.pk}/change/")


def test_all_that_was_discarded_is_taken_back_from_its_page(operator: Client) -> None:
    letters(3)

    text_of(operator, f"{CAUSES}{LOST}/discard/", {"wish": "1"})
    works(Job.objects.latest("pk"))
    assert states() == {"discarded": 3}
    assert "Take back what was discarded…" in text_of(operator, f"{CAUSES}{LOST}/")
    text_of(operator, f"{CAUSES}{LOST}/restore/", {"wish": "2"})
    works(Job.objects.latest("pk"))

    assert states() == {"open": 3}
    letter = DeadLetter.objects.first()
    assert letter is not None
    assert [event["event"] for event in json.loads(letter.history)] == ["discarded", "restored"]
    assert (letter.decided_by, letter.decided_at) == ("", None)


def test_a_job_is_stopped_and_goes_on_from_its_page(operator: Client) -> None:
    letters(1)
    text_of(operator, f"{CAUSES}{LOST}/discard/", {"wish": "1"})
    job = Job.objects.get()
    page = f"/admin/routing/job/{job.pk}"

    assert 'http-equiv="refresh"' not in operator.get(f"{page}/change/").content.decode()
    assert 'http-equiv="refresh"' in operator.get(f"{page}/change/?watched").content.decode()
    assert "It is stopped." in text_of(operator, f"{page}/stop/", {})
    assert "olga stopped it." in text_of(operator, f"{page}/change/")
    assert "It goes on with the rest." in text_of(operator, f"{page}/go-on/", {})
    assert operator.get(f"{page}/stop/").status_code == 302
    assert "at work" in text_of(operator, "/admin/routing/job/")
    assert Job.objects.get().state == "open", "looking at an address stops nothing"


def test_who_may_only_look_asks_for_no_job(viewer: Client, olga: User) -> None:
    letters(1)
    job = discarding(olga, cause=FULL)
    page = f"/admin/routing/job/{job.pk}"
    refused: list[Any] = [f"{CAUSES}{LOST}/{verb}/" for verb in ("replay", "discard", "restore")]

    assert {viewer.post(url, {"wish": "x"}).status_code for url in (*refused, f"{page}/stop/")} == {403}

    assert Job.objects.get().state == "open"
    assert "Stop it" not in viewer.get(f"{page}/change/").content.decode()
    assert "Replay in stages" not in viewer.get(f"{CAUSES}{LOST}/").content.decode()
