"""What a business domain declares, and the registry of those that this project lists.

Everything else derives from these objects: queues, exchanges, routes, worker pools, checks and admin pages.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

DEFAULT_LANE = "default"
RESERVED_LANES = frozenset({"dead"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When a task that failed for a passing reason runs again: after ``first_delay``, then twice as long, and so on."""

    first_delay: timedelta = timedelta(seconds=60)
    max_retries: int = 3
    max_delay: timedelta = timedelta(minutes=15)
    jitter: float = 0.1
    """Share of the delay, added or taken away at random, so that tasks that failed together do not return together."""

    def delay(self, retries: int, chance: float) -> timedelta:
        """How long to wait before the next run, after ``retries`` retries; ``chance`` is random in [0, 1)."""
        # Some tasks retry for days: twice as long each time would soon be longer than there is a word for.
        backoff: timedelta = min(self.first_delay * (1 << min(retries, 20)), self.max_delay)
        return backoff * (1 + self.jitter * (2 * chance - 1))


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long is kept what has finished, by outcome: IGNORED counts as success, REVOKED as failure."""

    success: timedelta = timedelta(days=30)
    failure: timedelta = timedelta(days=90)
    payload: timedelta | None = None
    """Arguments and results, where they go before the outcome does; the error of a failure is its outcome."""
    dead_letter: timedelta | None = None
    """With the message, arguments included, that a replay needs; as long as failures, if left out."""

    SHORTEST: ClassVar = timedelta(days=1)
    LONGEST: ClassVar = timedelta(days=36_525)

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ImproperlyConfigured(f"Retention in project/domains.py: {problem}")

    def _problems(self) -> Iterator[str]:
        for name in ("success", "failure", "payload", "dead_letter"):
            yield from self._wrong_age(name, getattr(self, name))
        if self.failure < self.success:
            yield "failures would go before successes; raise failure to success, or above."
        if self.payload is not None and self.payload > self.failure:
            yield "payload has no effect above failure: payloads go with their outcome at the latest. Leave it out."

    def _wrong_age(self, name: str, age: object) -> Iterator[str]:
        if age is None and name in ("payload", "dead_letter"):
            return
        if not isinstance(age, timedelta):
            yield f"{name}={age!r} is no length of time; write timedelta(days=30)."
        elif age < self.SHORTEST:
            yield (
                f"{name} must be at least a day: a message that RabbitMQ gives again is known by its outcome, and "
                "chords read the results of their members. To keep no result at all, use ignore_result=True."
            )
        elif age > self.LONGEST:
            yield f"{name} must be at most a hundred years, which timedelta(days=36_525) is."

    @property
    def by_outcome(self) -> Mapping[str, timedelta]:
        return {"success": self.success, "failure": self.failure}

    @property
    def of_dead_letters(self) -> timedelta:
        return self.failure if self.dead_letter is None else self.dead_letter


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a domain promises those who wait for its tasks; each may be left out. Reports say where it was missed."""

    success: float | None = None
    """Share of its tasks, from 0 to 1, that shall succeed. What was cancelled or came too late is not judged."""
    wait: timedelta | None = None
    """95 of 100 tasks begin no later than this after they could."""
    run: timedelta | None = None
    """95 of 100 tasks run no longer than this."""

    def problems(self) -> Iterator[str]:
        if self.success is not None and not 0 < self.success <= 1:
            yield f"Targets(success={self.success!r}) must be a share above 0 and up to 1, such as 0.995."
        for name in ("wait", "run"):
            length = getattr(self, name)
            if length is not None and not (isinstance(length, timedelta) and length > timedelta()):
                yield f"Targets({name}={length!r}) must be a length of time, such as timedelta(seconds=30)."


@dataclass(frozen=True)
class Lane:
    """A queue of its own within a domain, so that urgent work does not wait behind bulk work.

    Figures left out are the domain's.
    """

    name: str
    concurrency: int | None = None
    prefetch: int | None = None
    nice: int = 0
    """How far its pool's processes give way to others on the same machine, from 0 to 19, as nice(1) has it."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One business area: the tasks it claims, the lanes they wait in, and the limits they run under."""

    name: str
    title: str = ""
    tasks: tuple[str, ...] = ()
    """Patterns of task names, such as ``billing.*``; by default everything below the domain's own name."""
    lanes: tuple[Lane, ...] = (Lane(DEFAULT_LANE),)
    concurrency: int = 1
    """Processes in each lane's worker pool."""
    prefetch: int = 4
    """Messages each process may hold beyond the one it runs."""
    time_limit: timedelta = timedelta(minutes=5)
    soft_time_limit: timedelta = timedelta()
    """When a task is asked to tidy up; four fifths of ``time_limit`` if left out."""
    run_limit: int = 5
    """A task whose body started this often without reaching an outcome is poison: it kills its workers."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    retention: Retention = field(default_factory=Retention)
    owner: str = ""
    """The team or person who answers for it, as reports name them."""
    contact: str = ""
    """Where to reach them: an e-mail address, or one that begins with https://."""
    noun: str = "tasks"
    """What its tasks are to those who read reports, and to nobody else: such as ``e-mails``."""
    targets: Targets = field(default_factory=Targets)

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name.replace("_", " ").capitalize())
        if not self.soft_time_limit:
            object.__setattr__(self, "soft_time_limit", self.time_limit * 4 / 5)
        if not self.tasks:
            object.__setattr__(self, "tasks", (f"{self.name}.*",))
        for problem in self._problems():
            raise ImproperlyConfigured(f"Domain {self.name!r} in project/domains.py: {problem}")

    def _problems(self) -> Iterator[str]:
        lanes = [lane.name for lane in self.lanes]
        for name in (self.name, *lanes):
            if not _NAME.match(name):
                yield f"{name!r} is no queue name; use a-z, 0-9 and _, beginning with a letter, at most 40."
        if DEFAULT_LANE not in lanes:
            yield f"add Lane({DEFAULT_LANE!r}): tasks that ask for no lane need one."
        if len(set(lanes)) < len(lanes):
            yield f"each lane once, please; these are {lanes}."
        for lane in RESERVED_LANES.intersection(lanes):
            yield f"no lane can be called {lane!r}: {self.name}.{lane} keeps the domain's dead letters."
        yield from self._wrong_figures()
        yield from self._wrong_words()

    def _wrong_words(self) -> Iterator[str]:
        """Of what it tells the readers of reports."""
        for name in ("owner", "contact", "noun"):
            if not isinstance(getattr(self, name), str):
                yield f"{name}={getattr(self, name)!r} must be text."
                return
        if self.contact and not re.match(r"https?://\S+\Z|[^@\s]+@[^@\s]+\Z", self.contact):
            yield f"contact={self.contact!r} must be an e-mail address, or one that begins with https://."
        if not self.noun.strip():
            yield "noun is what its tasks are called, such as 'e-mails'; leave it out for 'tasks'."
        if isinstance(self.targets, Targets):
            yield from self.targets.problems()
        else:
            yield f"targets={self.targets!r} must be Targets(success=0.995, wait=timedelta(seconds=30))."

    def _wrong_figures(self) -> Iterator[str]:
        for pool in self.lanes:
            if (pool.concurrency or self.concurrency) < 1:
                yield f"lane {pool.name!r} needs a concurrency of at least 1."
            if (pool.prefetch if pool.prefetch is not None else self.prefetch) < 1:
                yield f"lane {pool.name!r} needs a prefetch of at least 1; 0 would mean without any limit."
            if not 0 <= pool.nice <= 19:
                yield f"lane {pool.name!r} can be nice from 0, like everybody, to 19, behind everybody."
        if not isinstance(self.retention, Retention):
            yield f"retention={self.retention!r} must be Retention(success=timedelta(days=30))."
        if self.run_limit < 1:
            yield "run_limit must be at least 1."
        if not timedelta() < self.soft_time_limit < self.time_limit:
            yield "soft_time_limit must be above zero and below time_limit, so that a task can tidy up."

    @cached_property
    def queues(self) -> Mapping[str, Lane]:
        """Queue name → lane. The default lane's queue has the domain's bare name."""
        return {self.queue(lane.name): lane for lane in self.lanes}

    def queue(self, lane: str = DEFAULT_LANE) -> str:
        return self.name if lane == DEFAULT_LANE else f"{self.name}.{lane}"

    @property
    def dead_letter_queue(self) -> str:
        return f"{self.name}.dead"

    def claims(self, task_name: str) -> bool:
        return any(fnmatchcase(task_name, pattern) for pattern in self.tasks)


@dataclass(frozen=True)
class Pool:
    """The worker pool of one queue."""

    name: str
    domain: Domain
    lane: Lane

    MOST: ClassVar = 128
    """Processes that one may be given while it runs: a slip of the finger shall not fill a machine's memory."""

    @property
    def concurrency(self) -> int:
        return self.lane.concurrency or self.domain.concurrency

    @property
    def prefetch(self) -> int:
        return self.domain.prefetch if self.lane.prefetch is None else self.lane.prefetch


class Registry:
    """The domains of a project, looked up by task name and by queue."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        self.domains = tuple(domains)
        names = [domain.name for domain in self.domains]
        if len(set(names)) < len(names):
            raise ImproperlyConfigured(f"project/domains.py lists a domain twice: {names}. Give each its own name.")
        self.pools = {
            queue: Pool(queue, domain, lane) for domain in self.domains for queue, lane in domain.queues.items()
        }
        # Asked for each task, several times; names come from outside, too, so not all of them are kept.
        self._first_claimant = lru_cache(maxsize=4096)(lambda name: next(iter(self.claimants(name)), None))

    def __iter__(self) -> Iterator[Domain]:
        return iter(self.domains)

    def claimants(self, task_name: str) -> list[Domain]:
        return [domain for domain in self.domains if domain.claims(task_name)]

    def of_task(self, task_name: str) -> Domain | None:
        """The domain that claims this task; None if none does."""
        return self._first_claimant(task_name)

    def of_queue(self, queue: str) -> Domain | None:
        pool = self.pools.get(queue)
        return pool.domain if pool else None


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The domains that ``settings.TASKYARD_DOMAINS`` names."""
    return Registry(import_string(settings.TASKYARD_DOMAINS))
