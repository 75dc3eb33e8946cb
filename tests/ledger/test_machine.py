"""The ledger against a model: whatever order its verbs come in, no task is lost and no outcome is doubled."""

from dataclasses import dataclass, field, replace

import pytest
from django.utils import timezone
from django_celery_results.models import TaskResult
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from routing.domains import Domain
from routing.ledger import processes, redrive, reschedule
from routing.ledger.claim import Claim, claim, drop_doubled
from routing.ledger.enqueue import Envelope, enqueue
from routing.ledger.settle import Fence, settle
from routing.ledger.tables import DeadLetter, Message, Outbox, Process, Tally
from routing.ledger.tally import books, roll_up
from tests.ledger.test_verbs import DONE

pytestmark = pytest.mark.django_db(transaction=True)

IDS = [f"task-{number}" for number in range(4)]


@dataclass
class InFlight:
    epoch: int = 1
    owner: int | None = None
    runs: int = 0


@dataclass
class Model:
    in_flight: dict[str, InFlight] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    accepted: int = 0
    living: set[int] = field(default_factory=set)


class Ledger(RuleBasedStateMachine):
    """Copies of messages are delivered any number of times, in any order, to workers that live or are dead."""

    copies = Bundle("copies")
    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        for table in (Message, Outbox, Tally, DeadLetter, Process, TaskResult):
            table.objects.all().delete()
        self.model = Model()
        self.published: set[tuple[str, int]] = set()

    @rule(target=workers)
    def a_worker_starts(self) -> int:
        worker = processes.register(Process.Role.WORKER, "w")
        self.model.living.add(worker)
        return worker

    @rule(worker=workers)
    def a_worker_is_declared_dead(self, worker: int) -> None:
        Process.objects.filter(pk=worker).update(dead_at=timezone.now())
        self.model.living.discard(worker)

    @rule(target=copies, task_id=st.sampled_from(IDS))
    def enqueue(self, task_id: str) -> tuple[str, int]:
        new = enqueue([envelope(task_id)])

        known = task_id in self.model.in_flight or task_id in self.model.outcomes
        assert new == (set() if known else {task_id})
        if not known:
            self.model.in_flight[task_id] = InFlight()
            self.model.accepted += 1
        return task_id, 1

    @rule(target=copies)
    def relay(self) -> object:
        """Everything that is to be published becomes a copy; and the relay may die before it knows."""
        published = [(row.message_id, row.epoch) for row in Outbox.objects.order_by("id")]
        Outbox.objects.filter(epoch__gt=1).delete()
        self.published.update(published)
        return multiple(*published)

    @rule(copy=copies, worker=workers)
    def claim(self, copy: tuple[str, int], worker: int) -> None:
        task_id, epoch = copy
        answer = claim(task_id, epoch=epoch, owner=worker, pid=1)

        task = self.model.in_flight.get(task_id)
        may = task is not None and task.epoch == epoch and task.owner not in self.model.living
        may = may and task is not None and task.runs < Domain.run_limit
        assert isinstance(answer, Claim) == may, answer
        if task is not None and isinstance(answer, Claim):
            task.owner, task.runs = worker, task.runs + 1
            assert answer.runs == task.runs

    @rule(copy=copies, worker=workers, status=st.sampled_from(["SUCCESS", "FAILURE", "REVOKED", "IGNORED"]))
    def settle(self, copy: tuple[str, int], worker: int, status: str) -> None:
        won = settle(fence(copy, worker), replace(DONE, status=status))

        assert won == self._is_mine(copy, worker)
        if won:
            del self.model.in_flight[copy[0]]
            self.model.outcomes[copy[0]] = status

    @rule(copy=copies, worker=workers)
    def retry(self, copy: tuple[str, int], worker: int) -> None:
        won = reschedule.retry(fence(copy, worker), envelope(copy[0]), error="busy")

        assert won == self._is_mine(copy, worker)
        if won:
            self.model.in_flight[copy[0]] = InFlight(epoch=copy[1] + 1)

    @rule(copy=copies, worker=workers)
    def release(self, copy: tuple[str, int], worker: int) -> None:
        won = reschedule.release(fence(copy, worker), error="died")

        assert won == self._is_mine(copy, worker)
        if won:
            task = self.model.in_flight[copy[0]]
            task.epoch, task.owner = copy[1] + 1, None

    @rule()
    def what_the_dead_own_is_given_out_again_or_given_up(self) -> None:
        waiting = {(row.message_id, row.epoch) for row in Outbox.objects.all()}

        redrive.of_dead_owners()

        for task_id, task in list(self.model.in_flight.items()):
            if task.owner is None or task.owner in self.model.living:
                continue
            if task.runs >= Domain.run_limit:
                del self.model.in_flight[task_id]
                self.model.outcomes[task_id] = "FAILURE"
            elif (task_id, task.epoch) not in waiting:
                task.epoch, task.owner = task.epoch + 1, None

    @rule(task_id=st.sampled_from(IDS))
    def drop_doubled(self, task_id: str) -> None:
        assert not drop_doubled(task_id)

    @rule()
    def roll_up(self) -> None:
        roll_up()

    @invariant()
    def every_task_is_in_flight_or_finished_and_never_both(self) -> None:
        assert set(Message.objects.values_list("pk", flat=True)) == set(self.model.in_flight)
        assert dict(TaskResult.objects.values_list("task_id", "status")) == self.model.outcomes

    @invariant()
    def every_task_has_a_publication_or_was_published(self) -> None:
        waiting = {(row.message_id, row.epoch) for row in Outbox.objects.all()}
        for message in Message.objects.all():
            assert message.epoch == self.model.in_flight[message.pk].epoch
            assert (message.pk, message.epoch) in waiting | self.published

    @invariant()
    def the_books_balance(self) -> None:
        sums = books().get("reporting")
        accepted, finished = (sums.accepted, sums.finished) if sums else (0, 0)
        assert accepted == self.model.accepted == len(self.model.in_flight) + len(self.model.outcomes)
        assert finished == len(self.model.outcomes)

    def _is_mine(self, copy: tuple[str, int], worker: int) -> bool:
        task = self.model.in_flight.get(copy[0])
        return task is not None and task.epoch == copy[1] and task.owner in (None, worker)


def fence(copy: tuple[str, int], worker: int) -> Fence:
    return Fence(task_id=copy[0], epoch=copy[1], owner=worker)


def envelope(task_id: str) -> Envelope:
    return Envelope(
        id=task_id,
        task="reporting.probe_add",
        domain="reporting",
        queue="reporting",
        headers="{}",
        properties="{}",
        body="[[], {}, {}]",
    )


def test_no_order_of_verbs_loses_or_doubles_a_task() -> None:
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
