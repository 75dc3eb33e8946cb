"""A search as conditions on the table of tasks in flight, whose only index is by id: it holds what is not finished."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from routing.console.searching import conditions
from routing.console.searching.conditions import TURNED, Condition, either, holds
from routing.console.searching.terms import (
    NO_DOMAIN,
    Argument,
    Contains,
    DomainIn,
    Lasted,
    QueueIn,
    Since,
    StateIn,
    TaskIn,
    TaskIs,
    Term,
    Until,
)
from routing.domains import registry
from routing.ledger import database
from routing.ledger.tables import Process


def conditions_of(terms: Iterable[Term], *, now: datetime) -> list[Condition]:
    """``now``: until when those that wait have waited."""
    return [Condition(term.word, _condition(term, now), served=isinstance(term, TaskIs)) for term in terms]


def whole(terms: Iterable[Term], *, now: datetime) -> Q:
    return Q(*(each.q for each in conditions_of(terms, now=now)))


def _condition(term: Term, now: datetime) -> Q:
    match term:
        case TaskIs(_word, task_id):
            return Q(pk=task_id)
        case StateIn(_word, states):
            return Q(state__in=states)
        case TaskIn(_word, patterns):
            return either(_named(written) for written in patterns)
        case DomainIn(_word, domains):
            return either(_of_domain(name) for name in domains)
        case QueueIn(_word, queues):
            return Q(queue__in=queues)
        case Since(_word, at) | Until(_word, at):
            return Q(created_at__gte=at) if isinstance(term, Since) else Q(created_at__lt=at)
        case Lasted(_word, what, sign, length):
            return _lasted(what, sign, length, now)
        case Argument(_word, key, value):
            return conditions.argument("body", key=key, value=value)
        case Contains(_word, what, text):
            return _contains(what, text)


def _named(written: str) -> Q:
    if "*" not in written:
        return Q(task=written)
    return Q(task__regex=f"^{conditions.pattern(written).pattern}$")


def _of_domain(name: str) -> Q:
    return Q(domain=name) if name != NO_DOMAIN else ~Q(domain__in=[domain.name for domain in registry()])


def _lasted(what: str, sign: str, length: timedelta, now: datetime) -> Q:
    if what == "ran":
        return Q(owner__isnull=False, **{f"started_at__{TURNED[sign]}": now - length})
    until_now = Q(owner__isnull=True, **{f"created_at__{TURNED[sign]}": now - length})
    return until_now | Q(owner__isnull=False) & conditions.later("started_at", than="created_at", sign=sign, by=length)


def _contains(what: str, text: str) -> Q:
    if what == "worker":
        owners = Process.objects.using(database.using()).filter(name__icontains=text)
        return Q(owner__in=owners.values("pk"))
    if what == "error":
        return Q(error__icontains=text)
    return Q(pk=text) | holds("body", conditions.escaped(text))
