"""What a caller sends: one function for each kind of call, each inside the caller's transaction."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from celery import chain, chord, current_app, group

from routing.domains import registry
from tests.chaos import tasks as typed_tasks
from tests.chaos.journal import Sent
from tests.chaos.kinds import KINDS
from tests.chaos.options import STOP_WITHIN
from tests.chaos.releases import RELEASES, task_of

tasks: Any = typed_tasks
"""Celery's stubs know none of our options."""

KEYS = 8
LONG = (STOP_WITHIN - 8.0, STOP_WITHIN)
"""Seconds; a worker that is stopped gives back what it runs ten before the supervisor kills it."""


class Mix:
    """Calls at random, of every kind, into every queue."""

    def __init__(self, chance: random.Random, weights: Mapping[str, int] | None = None) -> None:
        self._chance = chance
        self._queues = sorted(registry().pools)
        weights = weights or {name: kind.weight for name, kind in KINDS.items() if kind.weight and name != "bare"}
        self._names, self._weights = list(weights), list(weights.values())
        self._revocable: list[str] = []

    def send(self) -> Sent:
        (name,) = self._chance.choices(self._names, self._weights)
        found: Sent = getattr(self, f"_send_{name}")()
        return found

    def bare(self) -> tuple[Sent, Callable[[], None]]:
        """A call to be made outside any transaction, with what is to be journalled before."""
        task_id = str(uuid4())
        sent = Sent(kind="bare", tasks=[task_id], first=[task_id], final=task_id, value="done")
        pause, queue = self._pause(), self._queue()
        return sent, lambda: tasks.work.apply_async((pause,), task_id=task_id, queue=queue)

    def _send_plain(self) -> Sent:
        return _single("plain", tasks.work.apply_async((self._pause(),), queue=self._queue()), "done")

    def _send_many(self) -> Sent:
        results = tasks.work.enqueue_many([(self._pause(),) for _ in range(20)], queue=self._queue())
        return _several("many", results, "done")

    def _send_countdown(self) -> Sent:
        options = {"countdown": self._chance.uniform(0.1, 8), "queue": self._queue()}
        return _single("countdown", tasks.work.apply_async((self._pause(),), **options), "done")

    def _send_long(self) -> Sent:
        """Longer than a stopped worker goes on."""
        pause = self._chance.uniform(*LONG)
        return _single("long", tasks.work.apply_async((pause,), queue=self._queue()), "done")

    def _send_released(self) -> Sent:
        """One that every other release knows. The caller has it in its own code, or knows of it."""
        release = self._chance.choice(RELEASES)
        return _single("released", current_app.send_task(task_of(release), queue=self._queue()), release)

    def _send_group(self) -> Sent:
        parts = [tasks.work.s(self._pause()).set(queue=self._queue()) for _ in range(self._chance.randint(2, 6))]
        result: Any = group(parts).apply_async()
        return _several("group", result.results, "done")

    def _send_chain(self) -> Sent:
        number = self._chance.randrange(100)
        steps = [self._adding(1) for _ in range(self._chance.randint(1, 4))]
        last = chain(self._adding(number, 1), *steps).apply_async()
        ids = list(_up_from(last))
        return Sent(kind="chain", tasks=ids, first=ids[-1:], final=last.id, value=number + 1 + len(steps))

    def _send_chord(self) -> Sent:
        numbers = [self._chance.randrange(100) for _ in range(self._chance.randint(2, 6))]
        header = [self._adding(number, 1) for number in numbers]
        return _chord("chord", chord(header)(self._summing()), sum(numbers) + len(numbers))

    def _send_chain_with_chord(self) -> Sent:
        number = self._chance.randrange(100)
        last = chain(
            self._adding(number, 1), group(self._adding(1), self._adding(2)), self._summing(), self._adding(5)
        ).apply_async()
        ids = list(_up_from(last))
        return Sent(kind="chain_with_chord", tasks=ids, first=ids[-1:], final=last.id, value=2 * number + 10)

    def _send_links(self) -> Sent:
        links = [tasks.follow.si().set(queue=self._queue()) for _ in range(2)]
        return _single("links", tasks.work.apply_async((self._pause(),), link=links, queue=self._queue()), "done")

    def _send_atomic(self) -> Sent:
        number = self._chance.randrange(100)
        options = {"link": tasks.follow.si().set(queue=self._queue()), "queue": self._queue()}
        return _single("atomic", tasks.effect.apply_async((number, self._pause()), **options), number)

    def _send_atomic_retry(self) -> Sent:
        times = self._chance.randint(1, 2)
        return _single("atomic_retry", tasks.effect_at_last_run.apply_async((times,), queue=self._queue()), times)

    def _send_atomic_chord(self) -> Sent:
        numbers = [self._chance.randrange(100) for _ in range(self._chance.randint(2, 4))]
        header = [tasks.effect.s(number).set(queue=self._queue()) for number in numbers]
        return _chord("atomic_chord", chord(header)(self._summing()), sum(numbers))

    def _send_deadlock(self) -> Sent:
        number = self._chance.randrange(100)
        return _single("deadlock", tasks.effect_on_a_locked_row.apply_async((number,), queue=self._queue()), number)

    def _send_retry(self) -> Sent:
        times = self._chance.randint(1, 3)
        return _single("retry", tasks.retry.apply_async((times,), queue=self._queue()), times)

    def _send_once(self) -> Sent:
        return _single("once", tasks.once.apply_async((self._pause(),), queue=self._queue()), "done")

    def _send_unique(self) -> Sent:
        key = f"key {self._chance.randrange(KEYS)}"
        # It may be another transaction's task, which holds the key.
        result = tasks.keyed.apply_async((key, self._pause()), queue=self._queue())
        return Sent(kind="unique", tasks=[result.id], first=[], final=result.id, value=key, key=key)

    def _send_failing(self) -> Sent:
        return _single("failing", tasks.fail.apply_async(link_error=tasks.follow.si(), queue=self._queue()), None)

    def _send_ignored(self) -> Sent:
        return _single("ignored", tasks.ignore.apply_async(queue=self._queue()), None)

    def _send_overrun(self) -> Sent:
        return _single("overrun", tasks.overrun.apply_async(link_error=tasks.follow.si(), queue=self._queue()), None)

    def _send_replaced(self) -> Sent:
        number = self._chance.randrange(100)
        return _single("replaced", tasks.become_a_chain.apply_async((number,), queue=self._queue()), number + 2)

    def _send_count_down(self) -> Sent:
        return _single("count_down", tasks.count_down.apply_async((3,), queue=self._queue()), 0)

    def _send_expiring(self) -> Sent:
        options = {"expires": self._chance.choice([0.2, 3.0, 30.0]), "queue": self._queue()}
        return _single("expiring", tasks.work.apply_async((self._pause(),), **options), "done")

    def _send_revoked(self) -> Sent:
        """Revoked together with the next one that is sent; by then it may have run."""
        if self._revocable:
            current_app.control.revoke(self._revocable)
        countdown = self._chance.choice([0, 0, 10])
        result = tasks.work.apply_async((self._pause(),), countdown=countdown, queue=self._queue())
        self._revocable = [result.id]
        return _single("revoked", result, "done")

    def forget(self) -> None:
        """The transaction was rolled back: who revokes what was never there has it recorded as revoked."""
        self._revocable = []

    def _adding(self, *numbers: int) -> Any:
        return tasks.add.s(*numbers, pause=self._pause()).set(queue=self._queue())

    def _summing(self) -> Any:
        return tasks.total.s().set(queue=self._queue())

    def _queue(self) -> str:
        return self._chance.choice(self._queues)

    def _pause(self) -> float:
        """Most bodies are short; some last long enough to be caught in the middle, few for many seconds."""
        (longest,) = self._chance.choices((0.0, 0.1, 1.0, 10.0), (60, 30, 9, 1))
        return round(self._chance.random() * longest, 3)


def _single(kind: str, result: Any, value: Any) -> Sent:
    return Sent(kind=kind, tasks=[result.id], first=[result.id], final=result.id, value=value)


def _several(kind: str, results: Any, value: Any) -> Sent:
    ids = [result.id for result in results]
    return Sent(kind=kind, tasks=ids, first=ids, final=ids[-1], value=value)


def _chord(kind: str, body: Any, value: Any) -> Sent:
    header = [result.id for result in body.parent.results]
    return Sent(kind=kind, tasks=[*header, body.id], first=header, final=body.id, value=value)


def _up_from(result: Any) -> Iterator[str]:
    """The ids of a chain's tasks, from its last to its first; a group in it stands for its members."""
    while result is not None:
        yield from ([part.id for part in result.results] if hasattr(result, "results") else [result.id])
        result = result.parent
