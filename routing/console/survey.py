"""How the pipeline is doing, as one look at broker and database tells. It never raises and never hangs."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError
from django.utils.translation import gettext as _

from routing.broker.inspection import BrokerUnavailable, inspect
from routing.broker.topology import UNROUTED_QUEUE, QueueDepth
from routing.console import lives, schedule_life
from routing.console.cures import Advice
from routing.console.lives import Beat, Lives
from routing.console.number_words import grouped
from routing.console.questions import Answer, Question, answer_by
from routing.console.schedule_life import Need
from routing.domains import Pool, registry
from routing.ledger import encryption

__all__ = ["Beat", "Survey", "take"]

logger = logging.getLogger(__name__)

Queues = Mapping[str, QueueDepth | None]

PATIENCE = 2.0
"""Seconds for all of a survey."""
_BROKER_PATIENCE = 1.5
"""Seconds for each answer of the broker: less, so that a silent one is named before the survey ends."""


class Mark(Enum):
    WELL = "well"
    WRONG = "wrong"
    UNREACHABLE = "unreachable"
    PAUSED = "paused"
    """Somebody wants it so; the sentence says who and why."""
    LOOK = "look"
    """Something was not as it should be, which takes nothing away from the pipeline as it is now."""
    UNKNOWN = "unknown"
    """It hangs on something that is unreachable, and that is reported by itself."""


_MARKS = {
    # By none of the others, nothing but the entry itself is held up.
    Need.OVERDUE: Mark.WRONG,
    Need.PAUSED: Mark.PAUSED,
    Need.BROKEN: Mark.LOOK,
    Need.LAPSED: Mark.LOOK,
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``sentence`` says what is wrong and names the cure; empty where all is well."""

    subject: str
    mark: Mark
    sentence: str = ""
    seconds: float = 0.0
    public: str = ""
    """What of the sentence may be told to whoever asks, where that is less than all of it."""

    @property
    def advice(self) -> Advice:
        return Advice(self.sentence, self.subject)


@dataclass(frozen=True)
class Survey:
    broker: Answer[Queues]
    database: Answer[Lives]

    @property
    def queues(self) -> Queues:
        """Empty where the broker gave no answer."""
        return self.broker.value or {}

    @property
    def lives(self) -> Lives:
        """Empty where the database gave no answer."""
        return self.database.value or Lives()

    @property
    def beat(self) -> Beat | None:
        return self.lives.beat

    @cached_property
    def findings(self) -> list[Finding]:
        return [*self._database(), *self._broker()]

    @property
    def problems(self) -> list[Finding]:
        """What is wrong, the causes only, the worst first."""
        unreachable = [finding for finding in self.findings if finding.mark is Mark.UNREACHABLE]
        return unreachable + [finding for finding in self.findings if finding.mark is Mark.WRONG]

    @property
    def pauses(self) -> list[str]:
        """A sentence for each paused queue, and each paused entry of the schedule."""
        queues = [Advice(lives.pause_sentence(paused), "pause") for paused in self.lives.paused.values()]
        return [*queues, *(Advice(each, "schedule") for each in self.lives.schedule.sentences(Need.PAUSED))]

    @property
    def looks(self) -> list[str]:
        """What is worth a look, and holds nothing up."""
        return [finding.advice for finding in self.findings if finding.mark is Mark.LOOK]

    @property
    def has_lapsed(self) -> bool:
        """Whether the schedule is among what is worth a look."""
        return any(finding.mark is Mark.LOOK and finding.subject.startswith("schedule ") for finding in self.findings)

    @property
    def set_aside(self) -> dict[str, int]:
        """Messages in dead-letter queues and among the unrouted, by queue; empty queues left out."""
        names = [*(domain.dead_letter_queue for domain in registry()), UNROUTED_QUEUE.name]
        found = ((name, self.queues.get(name)) for name in names)
        return {name: depth.ready for name, depth in found if depth and depth.ready}

    def _database(self) -> Iterator[Finding]:
        seconds = self.database.seconds
        if error := self.database.error:
            yield Finding("database", Mark.UNREACHABLE, _database_sentence(error), seconds)
            for subject in ("beat", "relay", "schedule"):
                yield Finding(subject, Mark.UNKNOWN, _("Not known: the database gave no answer."), seconds)
            return
        yield Finding("database", Mark.WELL, seconds=seconds)
        yield _finding("beat", lives.beat_sentence(self.beat), seconds)
        yield from self._relay(seconds)
        yield from self._schedule(seconds)
        for told in self.lives.told:
            yield Finding(told.subject, Mark.LOOK, str(told.sentence), seconds, str(told.public))
        # Where RabbitMQ is away, nobody takes messages.
        for worker in () if self.broker.error else self.lives.idle_workers:
            yield _finding(f"worker {worker.name}", lives.worker_sentence(worker), seconds)

    def _relay(self, seconds: float) -> Iterator[Finding]:
        relay = self.lives.relay
        if self.broker.error and relay and relay.trouble and not relay.late:
            yield Finding("relay", Mark.UNKNOWN, _("Not known: RabbitMQ gave no answer."), seconds)
        else:
            yield _finding("relay", lives.relay_sentence(relay), seconds)

    def _schedule(self, seconds: float) -> Iterator[Finding]:
        schedule = self.lives.schedule
        for plan in schedule.plans:
            need, sentence = schedule.needs.get(plan.entry.name, (None, ""))
            mark = _MARKS[need] if need else Mark.WELL
            if need is Need.OVERDUE and lives.beat_sentence(self.beat):
                # The cause is named already.
                mark = Mark.LOOK
            # What is wrong with an entry quotes its arguments.
            public = schedule_life.broken_sentence(plan) if need is Need.BROKEN else ""
            yield Finding(f"schedule {plan.entry.name}", mark, sentence, seconds, public)

    def _broker(self) -> Iterator[Finding]:
        seconds, error = self.broker.seconds, self.broker.error
        yield (
            Finding("broker", Mark.UNREACHABLE, _broker_sentence(error), seconds)
            if error
            else Finding("broker", Mark.WELL, seconds=seconds)
        )
        for pool in registry().pools.values():
            subject = f"lane {pool.name}"
            if error:
                yield Finding(subject, Mark.UNKNOWN, _("Not known: RabbitMQ gave no answer."), seconds)
                continue
            if paused := self.lives.paused.get(pool.name):
                yield Finding(subject, Mark.PAUSED, lives.pause_sentence(paused), seconds)
                continue
            yield _finding(subject, _lane_sentence(pool, self.queues.get(pool.name)), seconds)


def take(*, seconds: float = PATIENCE) -> Survey:
    """Ask broker and database at once, and wait for both no longer than this."""
    deadline = time.monotonic() + seconds
    broker, database = BROKER.put(), DATABASE.put()
    return Survey(answer_by(broker, deadline=deadline), answer_by(database, deadline=deadline))


def no_worker() -> str:
    """Where every lane lacks one."""
    return _("No worker runs, so no task does. Start all of it: make up. Or one: manage.py pool NAME")


def set_aside_sentence(seen: Survey) -> str:
    """What lies in the dead-letter queues; empty if nothing does."""
    kept = ", ".join(f"{name} ({grouped(ready)})" for name, ready in seen.set_aside.items())
    return _("Messages set aside, to be looked at: %(kept)s.") % {"kept": kept} if kept else ""


def ask_queues() -> Queues:
    """Raises BrokerUnavailable."""
    return inspect(registry(), seconds=_BROKER_PATIENCE)


BROKER = Question(ask_queues, name="ask-broker")
DATABASE = Question(lives.look, name="ask-database")


def _finding(subject: str, sentence: str, seconds: float) -> Finding:
    return Finding(subject, Mark.WRONG if sentence else Mark.WELL, sentence, seconds)


def _lane_sentence(pool: Pool, depth: QueueDepth | None) -> str:
    if depth is None:
        return _("The queue %(queue)s does not exist. Declare it: manage.py topology apply") % {"queue": pool.name}
    if depth.consumers == 0:
        return _("No worker serves %(queue)s. Start one: manage.py pool %(queue)s") % {"queue": pool.name}
    return ""


def sentence_of(error: BaseException | None) -> str:
    """Why something that needs both was not told, and what to do."""
    if isinstance(error, DatabaseError | InterfaceError):
        return _database_sentence(error)
    return _broker_sentence(error or TimeoutError())


def _broker_sentence(error: BaseException) -> str:
    if isinstance(error, BrokerUnavailable):
        return str(error)
    if isinstance(error, TimeoutError):
        return _("RabbitMQ does not answer in time. See whether it hangs, and whether BROKER_URL names the right one.")
    return _unexpected("RabbitMQ", error)


def _database_sentence(error: BaseException) -> str:
    # The driver's own words may name hosts and users, and a probe needs no password to ask.
    if isinstance(error, TimeoutError):
        return _(
            "The database does not answer in time. See whether it hangs, and whether DATABASE_URL names the right one."
        )
    if isinstance(error, ProgrammingError) or "no such table" in str(error):
        return _("The database lacks tables. Make them: manage.py migrate")
    if isinstance(error, OperationalError):
        logger.warning("The database cannot be reached: %s", str(error).partition("\n")[0])
        if found := encryption.cure(error):
            return found
        return _("The database cannot be reached. Start it, or correct DATABASE_URL. The log has its driver's words.")
    return _unexpected(_("The database"), error)


def _unexpected(what: str, error: BaseException) -> str:
    logger.warning("%s cannot be asked: %s", what, error, exc_info=error)
    return _("%(what)s cannot be used (%(error)s); the log says why.") % {
        "what": what,
        "error": type(error).__name__,
    }
