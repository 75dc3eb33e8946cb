"""A search as conditions on the table of results, and which index leads to each of them.

The table is read from the newest to the oldest enqueued. Some terms name what an index begins with; each such value is
a branch, of which only the newest rows are read, however many it has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from celery import states
from django.db.models import Q

from routing.console.searching import conditions
from routing.console.searching.conditions import Condition, either, holds
from routing.console.searching.terms import (
    NO_DOMAIN,
    Argument,
    Contains,
    CountedIn,
    DomainIn,
    FinishedIn,
    Lasted,
    Narrowing,
    QueueIn,
    Since,
    StateIn,
    TaskIn,
    TaskIs,
    Term,
    TriedAgain,
    Until,
)
from routing.domains import Domain, registry
from routing.ledger.enqueue import OUTCOMES
from routing.router import BUILT_IN

FAILED = (states.FAILURE, states.RETRY, states.REVOKED)
"""States whose rows may hold an error."""
STRETCH = "stretch"
"""The kind of a condition that leads to few enough rows to count them one by one."""
MOST_BRANCHES = 24
"""More are read as one: their rows are then frequent enough among all."""
Names = Sequence[str]


@dataclass(frozen=True)
class Question:
    """``split``: which of the conditions are read by their branches: at most one of tasks, and one of states."""

    conditions: tuple[Condition, ...]
    split: tuple[Condition, ...] = ()

    @property
    def everything(self) -> bool:
        return not self.conditions

    @property
    def is_countable(self) -> bool:
        return not self.unserved or any(each.kind == STRETCH for each in self.conditions)

    @property
    def unserved(self) -> tuple[Condition, ...]:
        return tuple(each for each in self.conditions if not each.served)

    @cached_property
    def branches(self) -> tuple[Q, ...]:
        """Together all rows that fulfil the terms which an index serves. None of them share a row."""
        served = [each for each in self.conditions if each.served]
        common = Q(*(each.q for each in served if each not in self.split))
        several = [each.branches for each in self.split if each.branches is not None]
        branches = tuple(Q(*each) & common for each in product(*several))
        return branches if len(branches) <= MOST_BRANCHES else (Q(*(each.q for each in served)),)

    @property
    def slow(self) -> Q:
        return Q(*(each.q for each in self.unserved))

    @property
    def whole(self) -> Q:
        return Q(*(each.q for each in self.conditions))


def question(terms: Iterable[Term | Narrowing], *, names: Callable[[], Names]) -> Question:
    """``names``: what the rows' tasks are called; asked for where a pattern or a domain is to be looked up."""
    found = [each for term in terms for each in _conditions(term, names)]
    # Of two of a kind, the second is asked of the rows that the first leads to.
    split = {each.kind: each for each in reversed(found) if each.branches is not None}
    return Question(tuple(found), tuple(split.values()))


def of_domains(domains: Iterable[str], *, names: Callable[[], Names]) -> Q:
    """All rows of these domains, for those who are limited to them."""
    known = names()
    return either(each for name in domains for each in _of_domain(name, known))


def _conditions(term: Term | Narrowing, names: Callable[[], Names]) -> Iterator[Condition]:
    match term:
        case FinishedIn(word, begin, end):
            # Nothing finishes before it is enqueued: so the list begins where its rows are.
            q = Q(date_done__gte=begin, date_done__lt=end, date_created__lt=end)
            yield Condition(word, q, served=True, kind=STRETCH)
        case CountedIn(word, domains):
            known = names()
            yield Condition(word, either(_counted_in(each, known) for each in domains), served=False)
        case TriedAgain(word):
            yield Condition(word, _tried_again(), served=False)
        case TaskIn(word) | DomainIn(word):
            alternatives = tuple(_tasks(term, names()))
            yield Condition(word, either(alternatives), served=True, kind="task", branches=alternatives)
        case StateIn(word, wanted):
            yield _in_states(word, wanted)
        case Contains(word, "error", text):
            yield _in_states(word, FAILED)
            yield Condition(word, _error(text), served=False)
        case _:
            yield _plain(term)


def _plain(term: Term) -> Condition:
    match term:
        case TaskIs(word, task_id):
            return Condition(word, Q(task_id=task_id), served=True)
        case Since(word, at):
            return Condition(word, Q(date_created__gte=at), served=True)
        case Until(word, at):
            return Condition(word, Q(date_created__lt=at), served=True)
        case QueueIn(word, queues):
            return Condition(word, either(_went_to(queue) for queue in queues), served=False)
        case Lasted(word):
            return Condition(word, _lasted(term), served=False)
        case Argument(word, key, value):
            return Condition(word, conditions.argument("task_kwargs", key=key, value=value), served=False)
        case Contains(word, "worker", text):
            return Condition(word, Q(worker__icontains=text), served=False)
        case Contains(word, "text", text):
            return Condition(word, _text(text), served=False)
    raise AssertionError(term)


def _in_states(word: str, wanted: Iterable[str]) -> Condition:
    """Nearly all rows are successes: those are read as they come."""
    each = tuple(dict.fromkeys(wanted))
    branches = None if states.SUCCESS in each else tuple(Q(status=state) for state in each)
    return Condition(word, Q(status__in=each), served=True, kind="state", branches=branches)


def _tasks(term: TaskIn | DomainIn, names: Names) -> list[Q]:
    if isinstance(term, DomainIn):
        return [each for name in dict.fromkeys(term.domains) for each in _of_domain(name, names)]
    plain = [name for name in term.patterns if "*" not in name]
    patterns = [conditions.pattern(name) for name in term.patterns if "*" in name]
    matching = [name for name in names if any(pattern.fullmatch(name) for pattern in patterns)]
    return [Q(task_name=name) for name in dict.fromkeys([*plain, *matching])]


def _of_domain(name: str, names: Names) -> list[Q]:
    """The rows whose tasks a domain claims, and Celery's built-ins that went to its queues; or those of none."""
    domain = next((each for each in registry() if each.name == name), None)
    claimed = [Q(task_name=each) for each in names if registry().of_task(each) == domain and not _built_in(each)]
    built_in = [Q(task_name=each) & _here(domain) for each in names if _built_in(each)]
    nameless = [Q(task_name__isnull=True)] if name == NO_DOMAIN else []
    return [*claimed, *built_in, *nameless]


def _counted_in(domain: str, names: Names) -> Q:
    """As the result backend writes it; other releases name none."""
    named = holds("meta", '"domain": "')
    mine = holds("meta", f'"domain": "{"" if domain == NO_DOMAIN else domain}"')
    return mine | (~named | Q(meta__isnull=True)) & either(_of_domain(domain, names))


def _tried_again() -> Q:
    """As the result backend writes it; other releases count no attempts."""
    first = holds("meta", '"attempt": 1,') | holds("meta", '"attempt": 1}')
    return holds("meta", '"attempt": ') & ~first


def _built_in(task: str) -> bool:
    """Celery's own, of which any domain's queue may have some; but for those that a domain claims by name."""
    return task.startswith(BUILT_IN) and registry().of_task(task) is None


def _here(domain: Domain | None) -> Q:
    if domain is not None:
        return either(_went_to(queue) for queue in domain.queues)
    anywhere = either(_went_to(queue) for each in registry() for queue in each.queues)
    return ~anywhere | Q(meta__isnull=True)


def _went_to(queue: str) -> Q:
    # As the result backend writes it.
    return holds("meta", f'"queue": "{queue}"')


def _lasted(term: Lasted) -> Q:
    if term.what == "waited":
        return conditions.later("date_started", than="date_created", sign=term.sign, by=term.length)
    ran = conditions.later("date_done", than="date_started", sign=term.sign, by=term.length)
    return ran & Q(status__in=OUTCOMES)


def _error(text: str) -> Q:
    return Q(traceback__icontains=text) | Q(result__icontains=conditions.escaped(text))


def _text(text: str) -> Q:
    written = conditions.escaped(text)
    return Q(task_id=text) | holds("task_kwargs", written) | holds("task_args", written)
