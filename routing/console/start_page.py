"""The admin's start page: how each domain is doing, and what to do where one is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import states
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django_celery_results.models import TaskResult

from routing.broker.topology import UNROUTED_QUEUE, QueueDepth
from routing.console import glance, lives, rights, survey
from routing.console.glance import Glance
from routing.console.lives import Life
from routing.console.number_words import grouped
from routing.console.queue_figures import HEADINGS, Figure, Links, QueueFigures
from routing.console.start_verdict import start_verdict
from routing.console.survey import Survey
from routing.console.verdict import Verdict
from routing.domains import Domain, Pool, registry
from routing.ledger.pulse_tables import LastAudit
from routing.ledger.schedule_tables import ScheduleEntry
from routing.ledger.tables import DeadLetter, Message


@dataclass(frozen=True)
class LaneView:
    pool: Pool
    depth: QueueDepth | None
    served: bool
    paused: str
    """Since when, by whom and why; empty where it is not."""
    numbers: QueueFigures
    figures: Sequence[Figure]
    url: str

    @property
    def is_bad(self) -> bool:
        return not (self.served or self.paused)


@dataclass(frozen=True)
class DomainView:
    domain: Domain
    lanes: list[LaneView]
    numbers: QueueFigures
    figures: Sequence[Figure]
    dead: int | None
    results_url: str
    dead_url: str

    @property
    def has_lanes(self) -> bool:
        """Else what is to be said of its one queue is said of the domain."""
        return len(self.lanes) > 1


@dataclass(frozen=True)
class Overview:
    verdict: Verdict
    domains: list[DomainView]
    headings: Any
    beat: Life | None
    relay: Life | None
    database_answers: bool
    broker_answers: bool
    unrouted: int | None
    next_due: str
    """“clean-up tomorrow 02:00 (in 5 h)”."""
    schedule_url: str
    differences: dict[str, int] | None
    """Of each domain whose books do not balance just now; None where that is not known."""
    audit: LastAudit | None
    at: datetime
    seconds_old: float


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """For ``UNFOLD["DASHBOARD_CALLBACK"]``. Whoever may not see results is told nothing of the pipeline."""
    return {**context, "overview": overview(user=request.user)} if may_look(request) else context


@require_safe
@cache_control(no_store=True)
def fragment(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes, for its script; 403 for whoever sees none of it there."""
    if not may_look(request):
        return HttpResponse(status=403)
    return TemplateResponse(request, "console/overview.html", {"overview": overview(user=request.user)})


def may_look(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.has_perm("django_celery_results.view_taskresult"))


def overview(*, user: Any = None) -> Overview:
    """Of the domains that the user is limited to; the verdict is about all.

    It waits for no answer longer than two seconds, and for all of them at once.
    """
    deadline = glance.begin()
    seen = survey.take()
    figures = glance.take(deadline=deadline)
    domains = [_domain(domain, seen, figures) for domain in registry()]
    return Overview(
        verdict=start_verdict(seen, figures, domains=[(each.domain, each.numbers) for each in domains]),
        domains=[each for each in domains if user is None or rights.covers(user, each.domain.name)],
        headings=HEADINGS,
        beat=seen.beat,
        relay=seen.lives.relay,
        database_answers=seen.database.error is None,
        broker_answers=seen.broker.error is None,
        unrouted=_ready(seen, UNROUTED_QUEUE.name),
        next_due=seen.lives.schedule.next_words,
        schedule_url=list_url(ScheduleEntry),
        differences=figures.now.figures.differences if figures.now else None,
        audit=figures.now.audit if figures.now else None,
        at=timezone.now(),
        seconds_old=figures.seconds_old,
    )


def _domain(domain: Domain, seen: Survey, figures: Glance) -> DomainView:
    day = figures.past.day.domains.get(domain.name) if figures.past else None
    numbers = QueueFigures(list(domain.queues), day, figures, targets=domain.targets)
    lanes = [_lane(registry().pools[name], seen, figures) for name in domain.queues]
    links = Links(
        waiting=list_url(Message, domain=domain.name),
        running=list_url(Message, domain=domain.name, q="state:running"),
        failed=list_url(TaskResult, domain=domain.name, state=states.FAILURE),
    )
    workers = {life.process for name in domain.queues for life in _workers(seen, name)}
    return DomainView(
        domain=domain,
        lanes=lanes,
        numbers=numbers,
        figures=numbers.figures(links, workers=_count(seen, len(workers)), workers_tone=_tone(lanes, seen)),
        dead=figures.now.figures.dead_letters.get(domain.name, 0) if figures.now else None,
        results_url=list_url(TaskResult, domain=domain.name),
        dead_url=list_url(DeadLetter, domain=domain.name, state__exact=DeadLetter.State.OPEN.value),
    )


def _lane(pool: Pool, seen: Survey, figures: Glance) -> LaneView:
    depth = seen.queues.get(pool.name)
    paused = seen.lives.paused.get(pool.name)
    day = figures.past.day.queues.get(pool.name) if figures.past else None
    numbers = QueueFigures([pool.name], day, figures, targets=pool.domain.targets)
    links = Links(
        waiting=list_url(Message, queue=pool.name),
        running=list_url(Message, queue=pool.name, q="state:running"),
        failed=list_url(TaskResult, q=f"queue:{pool.name} state:failure since:2d"),
    )
    served = bool(depth and depth.consumers)
    tone = "look" if paused else "bad" if not served and seen.broker.error is None else ""
    workers = _count(seen, len(_workers(seen, pool.name)))
    return LaneView(
        pool,
        depth,
        served=served,
        paused=lives.pause_sentence(paused) if paused else "",
        numbers=numbers,
        figures=numbers.figures(links, workers=workers, workers_tone=tone),
        url=f"{reverse('console:pools')}#{pool.name}",
    )


def _tone(lanes: Sequence[LaneView], seen: Survey) -> str:
    if seen.broker.error is None and any(lane.is_bad for lane in lanes):
        return "bad"
    return "look" if any(lane.paused for lane in lanes) else ""


def _workers(seen: Survey, queue: str) -> list[Life]:
    return [life for life in seen.lives.workers if queue in life.queues and not life.late]


def _count(seen: Survey, count: int) -> str:
    return "?" if seen.database.error else grouped(count)


def _ready(seen: Survey, name: str) -> int | None:
    depth = seen.queues.get(name)
    return depth.ready if depth else None


def list_url(model: type[Model], **filters: str) -> str:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url
