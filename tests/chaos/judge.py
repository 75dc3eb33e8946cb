"""The judge: compares what was promised with what became of it, and names every task that has a story to tell."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

from celery import states

from tests.chaos.evidence import Evidence, Outcome
from tests.chaos.journal import Entry, Sent, Verdict
from tests.chaos.kinds import ATOMIC, FREE, KINDS

POISON = "poison"
STARTS_UNTIL_POISON = 5


class Charge(StrEnum):
    LOST = "lost"
    STUCK = "stuck"
    DOUBLE_OUTCOME = "double outcome"
    DOUBLE_EFFECT = "double effect"
    MISSING_EFFECT = "missing effect"
    PHANTOM = "phantom"
    STARTED_TWICE = "started twice"
    RUN_TWICE = "run twice"
    POISONED = "poisoned"
    FALSE_OUTCOME = "false outcome"
    TORN = "torn transaction"
    SHARED_KEY = "shared key"
    IMBALANCE = "imbalance"
    OPEN_CHORD = "open chord"


@dataclass(frozen=True)
class Accusation:
    """``task_id`` may be empty where none is known. ``count`` of them, where it stands for several."""

    charge: Charge
    task_id: str
    story: str
    count: int = 1


@dataclass(frozen=True)
class Finding:
    accusations: tuple[Accusation, ...]
    journalled: int
    """Tasks that were promised."""

    def count(self, *charges: Charge) -> int:
        return sum(accusation.count for accusation in self.accusations if accusation.charge in charges)


def judge(evidence: Evidence) -> Finding:
    case = Case(evidence)
    accusations = (
        *case.lost(),
        *case.stuck(),
        *case.changed(),
        *case.discarded(),
        *case.buried_twice(),
        *case.wrong_children(),
        *case.wrong_effects(),
        *case.phantoms(),
        *case.strays(),
        *case.started_twice(),
        *case.run_twice(),
        *case.poisoned(),
        *case.false_outcomes(),
        *case.torn(),
        *case.shared_keys(),
        *case.imbalances(),
        *case.open_chords(),
    )
    return Finding(accusations, journalled=len(case.promised))


class Case:
    """What is accused of what. Each method is one question."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    # --- What was promised ------------------------------------------------------------------------------------------

    @cached_property
    def sent(self) -> list[Sent]:
        """All calls whose transaction was committed, as far as we know."""
        return [one for entry in self._evidence.entries if self._was_committed(entry) for one in entry.sent]

    @cached_property
    def promised(self) -> dict[str, Sent]:
        """By task id."""
        return {task_id: one for one in self.sent for task_id in one.tasks}

    def _was_committed(self, entry: Entry) -> bool:
        if entry.verdict is Verdict.UNKNOWN:
            return any(map(self._exists, _first_of(entry)))
        return entry.verdict is Verdict.COMMITTED

    def _exists(self, task_id: str) -> bool:
        return task_id in self._evidence.outcomes or task_id in self._evidence.in_flight

    # --- Questions --------------------------------------------------------------------------------------------------

    def lost(self) -> Iterator[Accusation]:
        """What is to follow a task that is stuck cannot be there yet."""
        for task_id, one in self.promised.items():
            comes_later = task_id not in one.first and not self._evidence.in_flight.keys().isdisjoint(one.tasks)
            if not self._exists(task_id) and not comes_later:
                yield Accusation(Charge.LOST, task_id, f"part of a {one.kind} that was committed; it is nowhere")

    def stuck(self) -> Iterator[Accusation]:
        for task_id, waiting in self._evidence.in_flight.items():
            yield Accusation(Charge.STUCK, task_id, f"{waiting.task} is in flight still, {waiting.state}")

    def changed(self) -> Iterator[Accusation]:
        for task_id, seen in self._evidence.seen.items():
            now = self._evidence.outcomes.get(task_id)
            all_of_them = {*seen, now.signature} if now else seen
            if len(all_of_them) > 1:
                story = f"had different outcomes: {'; '.join(sorted(all_of_them))}"
                yield Accusation(Charge.DOUBLE_OUTCOME, task_id, story, len(all_of_them) - 1)
            if now is None and task_id not in self.promised:
                yield Accusation(Charge.LOST, task_id, f"had an outcome, which is gone: {'; '.join(seen)}")

    def discarded(self) -> Iterator[Accusation]:
        if count := self._evidence.discarded:
            story = f"{count} outcomes were counted, and not recorded because their tasks had one already"
            yield Accusation(Charge.DOUBLE_OUTCOME, "", story, count)

    def buried_twice(self) -> Iterator[Accusation]:
        for task_id, count in self._evidence.letters.items():
            outcome = self._evidence.outcomes.get(task_id)
            if count > 1:
                yield Accusation(Charge.DOUBLE_OUTCOME, task_id, f"{count} dead letters", count - 1)
            if outcome and outcome.status != states.FAILURE:
                yield Accusation(Charge.DOUBLE_OUTCOME, task_id, f"a dead letter, and it is {outcome.status}")

    def wrong_children(self) -> Iterator[Accusation]:
        """What follows from an outcome is enqueued once: as tasks with other ids, doubles would show here."""
        for one in self.sent:
            kind, outcome = KINDS[one.kind], self._evidence.outcomes.get(one.final)
            if kind.children is None or outcome is None or outcome.reason == POISON:
                continue
            wanted, found = kind.children.get(outcome.status, 0), self._children[one.final]
            story = f"a {one.kind} that came to {outcome.status} has {found} further tasks instead of {wanted}"
            if found > wanted:
                yield Accusation(Charge.DOUBLE_OUTCOME, one.final, story, found - wanted)
            elif found < wanted:
                yield Accusation(Charge.LOST, one.final, story, wanted - found)

    def wrong_effects(self) -> Iterator[Accusation]:
        for task_id in {*self._atomic_tasks, *self._evidence.effects}:
            outcome, found = self._evidence.outcomes.get(task_id), self._evidence.effects.get(task_id, 0)
            wanted = int(outcome is not None and outcome.status == states.SUCCESS)
            status = outcome.status if outcome else "without an outcome"
            story = f"an atomic task, {status}, has {found} effects instead of {wanted}"
            if found > wanted:
                yield Accusation(Charge.DOUBLE_EFFECT, task_id, story, found - wanted)
            elif found < wanted:
                yield Accusation(Charge.MISSING_EFFECT, task_id, story)

    def phantoms(self) -> Iterator[Accusation]:
        """Of transactions that were rolled back. A unique key's holder is another transaction's task."""
        elsewhere = {
            task_id
            for entry in self._evidence.entries
            if entry.verdict is not Verdict.ROLLED_BACK
            for one in entry.sent
            for task_id in one.tasks
        }
        for entry in self._evidence.entries:
            if entry.verdict is Verdict.ROLLED_BACK:
                for task_id in {task_id for one in entry.sent for task_id in one.tasks} - elsewhere:
                    if self._exists(task_id) or self._evidence.starts.get(task_id) or task_id in self._evidence.seen:
                        story = f"transaction {entry.transaction} was rolled back, and the task is there"
                        yield Accusation(Charge.PHANTOM, task_id, story)

    def strays(self) -> Iterator[Accusation]:
        """Tasks that nobody has enqueued whose own existence is accounted for."""
        known = self._all_tasks()
        free = {task_id for task_id, (task, _) in known.items() if task in FREE}
        for task_id, (task, parent) in known.items():
            if not {task_id, parent} & (self._accounted_for | free):
                yield Accusation(Charge.PHANTOM, task_id, f"a {task} that nobody enqueued; it names {parent} as parent")

    def started_twice(self) -> Iterator[Accusation]:
        for one in self.sent:
            starts = self._evidence.starts.get(one.final, 0)
            if KINDS[one.kind].at_most_once and starts > 1:
                story = f"may start at most once, and started {starts} times"
                yield Accusation(Charge.STARTED_TWICE, one.final, story, starts - 1)

    def run_twice(self) -> Iterator[Accusation]:
        """Where workers are only stopped, a body runs once more for each time that one of them interrupted it."""
        interrupted = self._evidence.interrupted
        if interrupted is None:
            return
        again: Counter[str] = Counter()
        for (task_id, _), starts in self._evidence.attempts.items():
            again[task_id] += starts - 1
        for task_id, times in again.items():
            if times > interrupted.get(task_id, 0):
                story = f"ran {times} times more than once, and was interrupted {interrupted.get(task_id, 0)} times"
                yield Accusation(Charge.RUN_TWICE, task_id, story, times - interrupted.get(task_id, 0))

    def poisoned(self) -> Iterator[Accusation]:
        for task_id, outcome in self._evidence.outcomes.items():
            if self._evidence.interrupted is not None and outcome.reason == POISON:
                yield Accusation(Charge.POISONED, task_id, f"is poison after {outcome.runs} runs, and kills nobody")

    def false_outcomes(self) -> Iterator[Accusation]:
        """Infrastructure is never the task's fault: only tasks that killed their workers time and again may fail."""
        for one in self.sent:
            for task_id in one.tasks:
                outcome = self._evidence.outcomes.get(task_id)
                if outcome and (wrong := self._wrong(one, task_id, outcome)):
                    yield Accusation(Charge.FALSE_OUTCOME, task_id, f"part of a {one.kind}: {wrong}")

    def torn(self) -> Iterator[Accusation]:
        """What one transaction enqueued is there as a whole or not at all."""
        for entry in self._evidence.entries:
            first = _first_of(entry)
            there = [task_id for task_id in first if self._exists(task_id)]
            if entry.verdict is Verdict.UNKNOWN and 0 < len(there) < len(first):
                story = f"of transaction {entry.transaction}, {len(there)} of {len(first)} tasks are there"
                yield Accusation(Charge.TORN, next(iter(set(first) - set(there))), story)

    def shared_keys(self) -> Iterator[Accusation]:
        """Of one unique key, a task is enqueued when the one before it has come to its outcome."""
        held: dict[str, dict[str, Outcome]] = defaultdict(dict)
        for one in self.sent:
            if one.key and (outcome := self._evidence.outcomes.get(one.final)):
                held[one.key][one.final] = outcome
        for key, tasks in held.items():
            in_turn = sorted(tasks.items(), key=lambda task: str(task[1].created_at))
            for (first, before), (second, after) in pairwise(in_turn):
                if before.done_at and after.created_at and after.created_at < before.done_at:
                    yield Accusation(Charge.SHARED_KEY, second, f"had {key} while {first} was in flight")

    def imbalances(self) -> Iterator[Accusation]:
        for imbalance in self._evidence.imbalances:
            yield Accusation(Charge.IMBALANCE, "", imbalance)

    def open_chords(self) -> Iterator[Accusation]:
        if count := self._evidence.open_chords:
            yield Accusation(Charge.OPEN_CHORD, "", f"{count} chords wait for members, and none is in flight", count)

    # --- What is known of tasks -------------------------------------------------------------------------------------

    @cached_property
    def _children(self) -> Counter[str]:
        """How many tasks name each as their parent."""
        # A task that was retried names itself.
        return Counter(parent for task_id, (_, parent) in self._all_tasks().items() if parent not in (None, task_id))

    @cached_property
    def _accounted_for(self) -> set[str]:
        """What was promised, and may have been: whatever follows from it is counted elsewhere."""
        return {task_id for entry in self._evidence.entries for one in entry.sent for task_id in one.tasks}

    @cached_property
    def _atomic_tasks(self) -> set[str]:
        return {task_id for task_id, (task, _) in self._all_tasks().items() if task in ATOMIC}

    def _all_tasks(self) -> Mapping[str, tuple[str, str | None]]:
        """Their names and parents."""
        finished = {task_id: (one.task, one.parent) for task_id, one in self._evidence.outcomes.items()}
        return {**{task_id: (one.task, one.parent) for task_id, one in self._evidence.in_flight.items()}, **finished}

    def _wrong(self, one: Sent, task_id: str, outcome: Outcome) -> str:
        kind = KINDS[one.kind]
        if outcome.status == states.FAILURE and self._has_poison(one):
            return ""
        if outcome.status not in kind.may or outcome.reason != kind.reasons.get(outcome.status):
            return f"{outcome.status}, {outcome.reason or 'without a reason'}: {outcome.value!r}"
        is_known = kind.has_value and outcome.status == states.SUCCESS and task_id == one.final
        if is_known and outcome.value != one.value:
            return f"its value is {outcome.value!r} instead of {one.value!r}"
        return ""

    def _has_poison(self, one: Sent) -> bool:
        """Whether one of its tasks killed so many workers that it was set aside; the others fail with it."""
        outcomes = [self._evidence.outcomes[task_id] for task_id in one.tasks if task_id in self._evidence.outcomes]
        return any(outcome.reason == POISON and outcome.runs >= STARTS_UNTIL_POISON for outcome in outcomes)


def _first_of(entry: Entry) -> list[str]:
    return [task_id for one in entry.sent for task_id in one.first]
