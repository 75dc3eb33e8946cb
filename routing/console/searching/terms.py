"""What a search asks for, as the parser read it. Each term knows the word that it was typed as; all must hold."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

NO_DOMAIN = "-"
"""Tasks that no domain claims."""


@dataclass(frozen=True)
class TaskIs:
    word: str
    id: str


@dataclass(frozen=True)
class StateIn:
    """Celery's names of states."""

    word: str
    states: tuple[str, ...]


@dataclass(frozen=True)
class TaskIn:
    """Task names, in which ``*`` stands for any characters."""

    word: str
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class DomainIn:
    word: str
    domains: tuple[str, ...]


@dataclass(frozen=True)
class QueueIn:
    word: str
    queues: tuple[str, ...]


@dataclass(frozen=True)
class Since:
    """Enqueued at this moment or later."""

    word: str
    at: datetime


@dataclass(frozen=True)
class Until:
    """Enqueued before this moment."""

    word: str
    at: datetime


@dataclass(frozen=True)
class Lasted:
    """How long it waited, or ran. ``sign``: ``>``, ``>=``, ``<`` or ``<=``."""

    word: str
    what: str
    sign: str
    length: timedelta


@dataclass(frozen=True)
class Argument:
    """A named argument, or a key anywhere within one, that has this value: as a string, or as JSON writes it."""

    word: str
    key: str
    value: str


@dataclass(frozen=True)
class Contains:
    """``what``: the worker's name, the error, or (``text``) the arguments. Case makes no difference from A to Z."""

    word: str
    what: str
    text: str


@dataclass(frozen=True)
class FinishedIn:
    """Finished in a stretch of time: what a report counts."""

    word: str
    begin: datetime
    end: datetime
    """The first moment that is not in it any more."""


@dataclass(frozen=True)
class CountedIn:
    """In the books of these domains, also what they do not claim any more; where no book is named, by its task."""

    word: str
    domains: tuple[str, ...]


@dataclass(frozen=True)
class TriedAgain:
    """Whose first run was not its last."""

    word: str


Narrowing = FinishedIn | CountedIn | TriedAgain
"""What no word of a search says, but the address of a list."""
Term = TaskIs | StateIn | TaskIn | DomainIn | QueueIn | Since | Until | Lasted | Argument | Contains


@dataclass(frozen=True)
class Mistake:
    """A word that says nothing, why, and what to write in its place."""

    word: str
    problem: str
    cure: str


@dataclass(frozen=True)
class Search:
    """``mistakes``: where there are any, the terms are not all that was asked for, and nothing must be shown."""

    terms: tuple[Term, ...] = ()
    mistakes: tuple[Mistake, ...] = field(default=())
