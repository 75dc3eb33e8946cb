"""The task of a job: where it ended without the job another takes its place, a few times, and never do two work."""

import json
import threading
from datetime import timedelta

import pytest
from celery import current_app, states
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from routing.broker.keeper import Keeper
from routing.console.jobs import asking, carrying
from routing.ledger import database, job_tasks, replay, unrun
from routing.ledger.job_tables import Job
from routing.ledger.tables import DeadLetter, Message
from routing.testing import drain
from tests.console.test_causes import text_of
from tests.console.test_jobs import discarding, works
from tests.console.test_jobs import states as letter_states
from tests.ledger.test_cancel import together
from tests.ledger.test_causes import letters
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def olga(db: None) -> User:
    user = User.objects.create(username="olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_taskresult", "change_deadletter"]))
    return user


@pytest.fixture
def job(olga: User) -> Job:
    letters(3)
    return discarding(olga)


def task_ends(job: Job, *, status: str = states.FAILURE, reason: str = "poison") -> None:
    """Without the job."""
    job.refresh_from_db()
    message = Message.objects.get(pk=job_tasks.task_id(job.pk, job.turn))
    assert unrun.settle(message, status=status, reason=reason, error="It killed 3 workers.")


def tasks() -> list[str]:
    return list(Message.objects.filter(task=job_tasks.TASK).values_list("pk", flat=True))


@pytest.mark.parametrize(("status", "reason"), [(states.FAILURE, "poison"), (states.REVOKED, "cancelled")])
def test_a_job_whose_task_ended_without_it_is_carried_on_by_another(job: Job, status: str, reason: str) -> None:
    task_ends(job, status=status, reason=reason)

    assert (job_tasks.replace_lost(), job_tasks.replace_lost()) == (1, 0)

    (message,) = Message.objects.filter(task=job_tasks.TASK)
    assert timedelta(seconds=50) < message.due_at - timezone.now() <= job_tasks.PAUSES[0]
    works(job)
    assert (job.state, job.lost, json.loads(job.outcomes)) == ("done", 0, {"discarded": 3})


def test_a_job_that_has_a_task_is_left_to_it(job: Job, olga: User) -> None:
    assert job_tasks.replace_lost() == 0

    # It runs, or waits for its time: both are in flight.
    Message.objects.update(owner=1, started_at=timezone.now())
    assert job_tasks.replace_lost() == 0
    assert carrying.hand_on(job.pk, 1, waits=True)
    assert job_tasks.replace_lost() == 0
    job.refresh_from_db()
    assert (job.turn, job.lost) == (2, 0)

    asking.stop(job, user=olga)
    Message.objects.all().delete()
    assert job_tasks.replace_lost() == 0, "nobody is to carry on what is stopped"


def test_a_replay_of_its_task_is_its_task(job: Job) -> None:
    task_ends(job)
    replay.replay([DeadLetter.objects.get(task=job_tasks.TASK).pk], by="ann")

    assert job_tasks.replace_lost() == 0

    works(job)
    assert (job.state, job.seen) == ("done", 3)


def test_a_replay_that_comes_after_the_other_finds_nothing_to_do(job: Job) -> None:
    task_ends(job)
    assert job_tasks.replace_lost() == 1
    replay.replay([DeadLetter.objects.get(task=job_tasks.TASK).pk], by="ann")

    drain(raises=False)

    assert letter_states() == {"open": 3, "replayed": 1}, "its turn is over, and the other is not due yet"
    works(job)
    assert (job.state, json.loads(job.outcomes)) == ("done", {"discarded": 3})


def test_of_two_relays_that_notice_at_once_one_gives_it_another_task(job: Job) -> None:
    task_ends(job)

    together(*[job_tasks.replace_lost] * 2)

    job.refresh_from_db()
    assert (job.turn, job.lost, tasks()) == (2, 1, [job_tasks.task_id(job.pk, 2)])


def test_one_that_works_on_though_its_task_was_cancelled_loses_its_turn(job: Job) -> None:
    """Both at once: whoever comes first, no row is done twice."""
    task_ends(job, status=states.REVOKED, reason="cancelled")

    together(job_tasks.replace_lost, lambda: carrying.carry_on(job.pk, turn=1))

    works(job)
    assert (job.state, job.seen, json.loads(job.outcomes)) == ("done", 3, {"discarded": 3})


def test_a_job_from_before_is_left_to_its_task_too(job: Job) -> None:
    """The release before gave it an id that no turn tells, and may do so while this one is rolled out."""
    Message.objects.update(id="5f1d0c1e-0000-4000-8000-000000000001")
    assert job_tasks.replace_lost() == 0

    Job.objects.update(turn=2)
    assert job_tasks.replace_lost() == 1, "that one is of another turn"


@pytest.mark.any_database
def test_one_that_kills_every_task_is_broken_off_and_says_so(job: Job, olga: User, client: Client) -> None:
    client.force_login(olga)
    page = f"/admin/routing/job/{job.pk}/change/"
    for count, pause in enumerate(job_tasks.PAUSES, 1):
        task_ends(job)
        assert job_tasks.replace_lost() == 1
        assert f"Another takes its place: {count} of 3." in text_of(client, page)
        due_in = Message.objects.get().due_at - database.now()
        assert pause - timedelta(seconds=30) < due_in <= pause
    assert f'href="/admin/routing/deadletter/{DeadLetter.objects.latest("pk").pk}/' in client.get(page).content.decode()
    task_ends(job)

    assert (job_tasks.replace_lost(), tasks()) == (0, [])

    assert "4 tasks in a row ended without carrying it on" in text_of(client, page)
    job.refresh_from_db()
    assert asking.go_on(job, user=olga)
    works(job)
    assert (job.state, job.lost, job.trouble) == ("done", 0, "")


@pytest.mark.any_database
def test_each_relay_looks_for_them(job: Job) -> None:
    task_ends(job)
    keeper = Keeper(name="it", embedded=False, stop=threading.Event())

    keeper.start()
    try:
        until(lambda: tasks() != [], what="another task")
    finally:
        keeper.end()

    assert tasks() == [job_tasks.task_id(job.pk, 2)]


@pytest.mark.any_database
def test_the_id_tells_the_turn() -> None:
    assert job_tasks.task_id(7, 1) == job_tasks.task_id(7, 1)
    assert len({job_tasks.task_id(job, turn) for job in (1, 11) for turn in (1, 11)}) == 4
    assert job_tasks.TASK in current_app.tasks
