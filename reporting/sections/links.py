"""Addresses of the admin pages that show the rows which a figure counts, and whether those are still all kept."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from celery import states
from django.urls import reverse

from routing.console.period_filters import between
from routing.console.searching.terms import NO_DOMAIN
from routing.domains import Retention, registry

Stretch = tuple[datetime, datetime]


def results(
    within: Stretch,
    *,
    domain: str | None = None,
    domains: Iterable[str] | None = None,
    task: str | None = None,
    outcome: str = "",
    tried_again: bool = False,
) -> str:
    """Tasks that finished then. ``domain`` and ``domains`` as the books have them, empty for none; None for any."""
    counted = domains if domain is None else [domain]
    return _list(
        "django_celery_results_taskresult",
        within=between(*within),
        counted=None if counted is None else ",".join(sorted(each or NO_DOMAIN for each in counted)),
        task=task,
        state=outcome,
        tried="again" if tried_again else "",
    )


def tasks(finished: Stretch, *, due: datetime | None = None, domains: Iterable[str] | None = None) -> str:
    """What finished then, and what has not finished: all of it, or what was created and due before that moment."""
    begin, end = finished
    asked = [("from", begin.isoformat()), ("to", end.isoformat()), ("by", "finished")]
    asked += [("due", due.isoformat())] if due else []
    asked += [("domain", each or NO_DOMAIN) for each in sorted(domains or ())]
    return f"{reverse('console:tasks')}?{urlencode(asked)}"


def dead_letters(*, within: Stretch | None = None, decided: Stretch | None = None, **chosen: str) -> str:
    return _list(
        "routing_deadletter",
        within=between(*within) if within else None,
        decided=between(*decided) if decided else None,
        **chosen,
    )


def slots(within: Stretch, *, entry: str = "", of: str = "", but: Iterable[str] = (), became: str = "") -> str:
    """Of one entry, or of all ``but`` these; ``of`` these domains, with commas."""
    others = ",".join(quote(name, safe="") for name in but)
    return _list("routing_scheduleslot", within=between(*within), entry=entry, of=of, but=others, became=became)


def cleanups(within: Stretch, *, removed: str = "", of: str = "") -> str:
    """``removed``: only those that removed rows of this kind, with their sum; ``of`` these domains, with commas."""
    return _list("routing_cleanup", within=between(*within), removed=removed, of=of)


def log(within: Stretch, **chosen: str) -> str:
    return _list("admin_logentry", within=between(*within), **chosen)


def in_flight(**chosen: str) -> str:
    return _list("routing_message", **chosen)


def in_flight_of(domain: str) -> str:
    """``domain``: empty for tasks that none claims."""
    return in_flight(domain=domain) if domain else in_flight(domain__regex="^$")


def kept_for(domain: str, *, outcome: str = "") -> timedelta:
    """How long a domain's results are kept: those with this outcome, or the shortest of all."""
    found = next((one.retention for one in registry() if one.name == domain), Retention())
    if outcome in (states.FAILURE, states.REVOKED):
        return found.failure
    return found.success if outcome else min(found.success, found.failure)


def dead_letters_kept_for(domain: str) -> timedelta:
    return next((one.retention for one in registry() if one.name == domain), Retention()).of_dead_letters


def slots_kept_for(domain: str) -> timedelta:
    kept = next((one.retention for one in registry() if one.name == domain), Retention())
    return min(kept.by_outcome.values())


def _list(name: str, **chosen: str | None) -> str:
    given = {key: value for key, value in chosen.items() if value}
    return f"{reverse(f'admin:{name}_changelist')}?{urlencode(given)}"
