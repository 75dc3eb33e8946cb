"""The admin's start page: how each domain is doing, and what to do where one is not."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery import states
from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_results.models import TaskResult

from routing.broker.topology import UNROUTED_QUEUE, QueueDepth
from routing.console import survey
from routing.console.survey import Beat, Survey
from routing.domains import Domain, Pool, registry

RECENT = timedelta(hours=24)


@dataclass(frozen=True)
class Verdict:
    """``tone`` is ``good``, ``look`` or ``bad``; details are sentences that name a cure."""

    tone: str
    sentence: str
    details: list[str]


@dataclass(frozen=True)
class LaneView:
    pool: Pool
    depth: QueueDepth | None
    served: bool


@dataclass(frozen=True)
class DomainView:
    domain: Domain
    lanes: list[LaneView]
    waiting: int
    running: int
    failed: int
    dead: int | None
    results_url: str
    failures_url: str


@dataclass(frozen=True)
class Overview:
    verdict: Verdict
    domains: list[DomainView]
    beat: Beat | None
    unrouted: int | None
    broker_answers: bool


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """For ``UNFOLD["DASHBOARD_CALLBACK"]``. Whoever may not see results is told nothing of the pipeline."""
    if not request.user.has_perm("django_celery_results.view_taskresult"):
        return context
    return {**context, "overview": overview(survey.take())}


def overview(seen: Survey) -> Overview:
    open_rows = _by_domain(TaskResult.objects.filter(status__in=(states.PENDING, states.STARTED, states.RETRY)))
    failures = _by_domain(TaskResult.objects.filter(status=states.FAILURE, date_done__gte=timezone.now() - RECENT))
    return Overview(
        verdict=_verdict(seen),
        domains=[_domain(domain, seen, open_rows, failures) for domain in registry()],
        beat=seen.beat,
        unrouted=_ready(seen, UNROUTED_QUEUE.name),
        broker_answers=seen.broker.error is None,
    )


def _verdict(seen: Survey) -> Verdict:
    sentences = _sentences(seen)
    if len(sentences) == 1:
        return Verdict("bad", sentences[0], [])
    if sentences:
        return Verdict("bad", _("%(count)d things need you.") % {"count": len(sentences)}, sentences)
    count = len(registry().pools)
    served = ngettext("%(count)d queue served", "%(count)d queues served", count) % {"count": count}
    if seen.set_aside:
        running = _("%(served)s, beat alive, but messages were set aside.") % {"served": served}
        return Verdict("look", running, [survey.set_aside_sentence(seen)])
    return Verdict("good", _("All is well: %(served)s, beat alive.") % {"served": served}, [])


def _sentences(seen: Survey) -> list[str]:
    """What is wrong; where every lane is, that is one thing and not one for each."""
    if seen.broker.error or any(_lane(pool, seen).served for pool in registry().pools.values()):
        return [problem.sentence for problem in seen.problems]
    others = [problem.sentence for problem in seen.problems if not problem.subject.startswith("lane ")]
    return [_("No worker runs, so no task does. Start all of it: make up. Or one: manage.py pool NAME"), *others]


def _domain(
    domain: Domain, seen: Survey, open_rows: Counter[tuple[str, str]], failures: Counter[tuple[str, str]]
) -> DomainView:
    return DomainView(
        domain=domain,
        lanes=[_lane(registry().pools[name], seen) for name in domain.queues],
        waiting=open_rows[domain.name, states.PENDING] + open_rows[domain.name, states.RETRY],
        running=open_rows[domain.name, states.STARTED],
        failed=failures[domain.name, states.FAILURE],
        dead=_ready(seen, domain.dead_letter_queue),
        results_url=_results(domain=domain.name),
        failures_url=_results(domain=domain.name, state=states.FAILURE),
    )


def _lane(pool: Pool, seen: Survey) -> LaneView:
    depth = seen.queues.get(pool.name)
    return LaneView(pool, depth, served=bool(depth and depth.consumers))


def _by_domain(rows: Any) -> Counter[tuple[str, str]]:
    """Rows by domain and state, in one query."""
    counts: Counter[tuple[str, str]] = Counter()
    for name, status, count in rows.order_by().values_list("task_name", "status").annotate(Count("pk")):
        if domain := registry().of_task(name or ""):
            counts[domain.name, status] += count
    return counts


def _ready(seen: Survey, name: str) -> int | None:
    depth = seen.queues.get(name)
    return depth.ready if depth else None


def _results(**filters: str) -> str:
    return f"{reverse('admin:django_celery_results_taskresult_changelist')}?{urlencode(filters)}"
