"""The admin's start page: how each domain is doing, and what to do where one is not."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery import states
from django.db.models import Count, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_results.models import TaskResult

from routing.broker.topology import UNROUTED_QUEUE, QueueDepth
from routing.console import lives, rights, survey
from routing.console.schedule_life import Need
from routing.console.survey import Beat, Survey
from routing.console.verdict import Verdict
from routing.domains import Domain, Pool, registry
from routing.ledger import lookup
from routing.ledger.enqueue import REPLACED
from routing.ledger.schedule_tables import ScheduleEntry
from routing.ledger.tables import DeadLetter, Message

RECENT = timedelta(hours=24)
_DEAD = "dead letter"
_COUNTED = (states.PENDING, states.RETRY, REPLACED, states.FAILURE, _DEAD)


@dataclass(frozen=True)
class LaneView:
    pool: Pool
    depth: QueueDepth | None
    served: bool
    paused: str
    """Since when, by whom and why; empty where it is not."""

    @property
    def is_bad(self) -> bool:
        return not (self.served or self.paused)


@dataclass(frozen=True)
class DomainView:
    domain: Domain
    lanes: list[LaneView]
    waiting: int
    running: int
    to_retry: int
    failed: int
    dead: int
    results_url: str
    failures_url: str
    dead_url: str
    in_flight_url: str


@dataclass(frozen=True)
class Overview:
    verdict: Verdict
    domains: list[DomainView]
    beat: Beat | None
    unrouted: int | None
    broker_answers: bool
    next_due: str
    """“clean-up tomorrow 02:00 (in 5 h)”."""
    schedule_url: str


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """For ``UNFOLD["DASHBOARD_CALLBACK"]``. Whoever may not see results is told nothing of the pipeline."""
    if not request.user.has_perm("django_celery_results.view_taskresult"):
        return context
    return {**context, "overview": overview(survey.take(), user=request.user)}


def overview(seen: Survey, *, user: Any = None) -> Overview:
    """Of the domains that the user is limited to; the verdict is about all."""
    failures = TaskResult.objects.filter(status=states.FAILURE, date_done__gte=timezone.now() - RECENT)
    counts = _in_flight() + _by_domain(failures) + _dead_letters()
    return Overview(
        verdict=_verdict(seen),
        domains=[_domain(one, seen, counts) for one in registry() if user is None or rights.covers(user, one.name)],
        beat=seen.beat,
        unrouted=_ready(seen, UNROUTED_QUEUE.name),
        broker_answers=seen.broker.error is None,
        next_due=seen.lives.schedule.next_words,
        schedule_url=_list(ScheduleEntry),
    )


def _verdict(seen: Survey) -> Verdict:
    sentences = _sentences(seen)
    if len(sentences) == 1 and not seen.looks:
        return Verdict("bad", sentences[0])
    if sentences:
        details = [*sentences, *seen.looks]
        needs = ngettext("%(count)d thing needs you.", "%(count)d things need you.", len(details))
        return Verdict("bad", needs % {"count": len(details)}, details)
    count = len(registry().pools.keys() - seen.lives.paused.keys())
    served = ngettext("%(count)d queue served", "%(count)d queues served", count) % {"count": count}
    aside = survey.set_aside_sentence(seen)
    details = [*seen.looks, *seen.pauses, *([aside] if aside else [])]
    if not details:
        return Verdict("good", _("All is well: %(served)s, beat alive.") % {"served": served})
    return Verdict("look", _but(seen) % {"served": served, "paused": _paused(seen)}, details)


def _but(seen: Survey) -> str:
    if seen.has_lapsed:
        return _("%(served)s, beat alive, but the schedule was not kept in all.")
    if seen.looks:
        return _("%(served)s, beat alive, but see below.")
    if seen.pauses:
        return _("%(served)s, beat alive, and %(paused)s.")
    return _("%(served)s, beat alive, but messages were set aside.")


def _paused(seen: Survey) -> str:
    queues, entries = len(seen.lives.paused), len(seen.lives.schedule.sentences(Need.PAUSED))
    parts = [
        ngettext("%(count)d is paused", "%(count)d are paused", queues) % {"count": queues} if queues else "",
        ngettext("%(count)d entry of the schedule is paused", "%(count)d entries of the schedule are paused", entries)
        % {"count": entries}
        if entries
        else "",
    ]
    return ", ".join(filter(None, parts))


def _sentences(seen: Survey) -> list[str]:
    """What is wrong; where every lane is, that is one thing and not one for each."""
    if seen.broker.error or not all(_lane(pool, seen).is_bad for pool in registry().pools.values()):
        return [problem.sentence for problem in seen.problems]
    others = [problem.sentence for problem in seen.problems if not problem.subject.startswith("lane ")]
    return [_("No worker runs, so no task does. Start all of it: make up. Or one: manage.py pool NAME"), *others]


def _domain(domain: Domain, seen: Survey, counts: Counter[tuple[str, str]]) -> DomainView:
    running = [counts[name, state] for name, state in counts if name == domain.name and state not in _COUNTED]
    return DomainView(
        domain=domain,
        lanes=[_lane(registry().pools[name], seen) for name in domain.queues],
        waiting=counts[domain.name, states.PENDING] + counts[domain.name, REPLACED],
        # A task may make up states of its own while it runs.
        running=sum(running),
        to_retry=counts[domain.name, states.RETRY],
        failed=counts[domain.name, states.FAILURE],
        dead=counts[domain.name, _DEAD],
        results_url=_list(TaskResult, domain=domain.name),
        failures_url=_list(TaskResult, domain=domain.name, state=states.FAILURE),
        dead_url=_list(DeadLetter, domain=domain.name, state__exact=DeadLetter.State.OPEN.value),
        in_flight_url=_list(Message, domain=domain.name),
    )


def _lane(pool: Pool, seen: Survey) -> LaneView:
    depth = seen.queues.get(pool.name)
    paused = seen.lives.paused.get(pool.name)
    served = bool(depth and depth.consumers)
    return LaneView(pool, depth, served=served, paused=lives.pause_sentence(paused) if paused else "")


def _by_domain(rows: Any) -> Counter[tuple[str, str]]:
    """Rows by domain and state, in one query."""
    counts: Counter[tuple[str, str]] = Counter()
    for name, status, count in rows.order_by().values_list("task_name", "status").annotate(Count("pk")):
        if domain := registry().of_task(name or ""):
            counts[domain.name, status] += count
    return counts


def _in_flight() -> Counter[tuple[str, str]]:
    rows = lookup.messages().order_by().values_list("domain", "state").annotate(Count("pk"))
    return Counter({(domain, state): count for domain, state, count in rows})


def _dead_letters() -> Counter[tuple[str, str]]:
    rows = DeadLetter.objects.filter(state=DeadLetter.State.OPEN).order_by().values_list("domain").annotate(Count("pk"))
    return Counter({(domain, _DEAD): count for domain, count in rows})


def _ready(seen: Survey, name: str) -> int | None:
    depth = seen.queues.get(name)
    return depth.ready if depth else None


def _list(model: type[Model], **filters: str) -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url
