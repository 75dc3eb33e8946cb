"""Queues and pools: what is in each queue, who serves it, what each worker runs now; and declared beside what runs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from routing.broker import remote
from routing.broker.inspection import BrokerUnavailable
from routing.broker.topology import QueueDepth
from routing.console import lives, pool_rows, rights, survey
from routing.console.pool_rows import PoolRows, WorkerRow
from routing.console.questions import Question, answer_by
from routing.console.result_rows import StateWord
from routing.console.survey import Survey
from routing.console.verdict import Verdict
from routing.domains import Pool, registry
from routing.ledger.loads import Load
from routing.ledger.tables import QueuePause

PATIENCE = 2.0
ANSWERED_WITHIN = 1.0
"""Seconds that workers have to tell how many processes they have."""
ROWS = Question(pool_rows.read, name="ask-pools")

SERVED = StateWord("served", gettext_lazy("served"), "success")
PAUSED = StateWord("paused", gettext_lazy("paused"), "warning")
UNSERVED = StateWord("unserved", gettext_lazy("no worker"), "danger")
MISSING = StateWord("missing", gettext_lazy("not in RabbitMQ"), "danger")
UNKNOWN = StateWord("unknown", gettext_lazy("not known"))


@dataclass(frozen=True)
class WorkerView:
    """``size`` and ``busy`` as it answers just now; ``silence`` is why it is not known."""

    seen: WorkerRow
    size: int | None
    busy: int | None
    silence: str
    size_url: str


@dataclass(frozen=True)
class QueueView:
    name: str
    pool: Pool | None
    """None where no domain declares it."""
    state: StateWord
    depth: QueueDepth | None
    load: Load | None
    paused: QueuePause | None
    pause_words: str
    unconfirmed: Sequence[str]
    workers: Sequence[WorkerView]
    pause_url: str
    resume_url: str

    @property
    def held(self) -> int | None:
        return self.load.held(self.depth.ready) if self.load and self.depth else None


@dataclass(frozen=True)
class PoolsPage:
    verdict: Verdict
    queues: Sequence[QueueView]
    at: datetime
    may_change: bool
    remote_control: bool


def pools_page(request: HttpRequest) -> PoolsPage:
    """It waits two seconds for broker and database, and one for what workers answer."""
    deadline = time.monotonic() + PATIENCE
    asked = ROWS.put()
    seen = survey.take()
    rows = answer_by(asked, deadline=deadline).value or PoolRows()
    sizes = _sizes(rows, seen)
    queues = [_queue(name, rows, seen, sizes) for name in _names(rows)]
    return PoolsPage(
        verdict=_verdict(seen, rows),
        queues=queues,
        at=timezone.now(),
        may_change=may_change(request),
        remote_control=settings.CELERY_WORKER_ENABLE_REMOTE_CONTROL,
    )


def may_change(request: HttpRequest) -> bool:
    """Pause, resume, and resize."""
    user: Any = request.user
    return bool(user.has_perm("routing.change_queuepause")) and rights.domains_of(user) is None


def ask_size(worker: str, *, seconds: float = ANSWERED_WITHIN) -> dict[str, Any]:
    """``size`` and ``busy``, or ``error``: why it is not known. Raises BrokerUnavailable."""
    return _told(remote.ask("pool_size", [worker], seconds=seconds).get(worker))


def _told(answer: Any) -> dict[str, Any]:
    if isinstance(answer, dict) and ("size" in answer or "error" in answer):
        return answer
    if not settings.CELERY_WORKER_ENABLE_REMOTE_CONTROL:
        return {"error": _("Workers take no remote control here (TASKYARD_REMOTE_CONTROL=0)")}
    return {"error": _("It gave no answer within a second")}


def _sizes(rows: PoolRows, seen: Survey) -> Mapping[str, Any]:
    living = [worker.name for worker in rows.workers if not worker.is_late]
    if seen.broker.error or not settings.CELERY_WORKER_ENABLE_REMOTE_CONTROL:
        return {}
    try:
        return remote.ask("pool_size", living, seconds=ANSWERED_WITHIN)
    except BrokerUnavailable:
        # It has just gone; the next look tells so.
        return {}


def _names(rows: PoolRows) -> list[str]:
    """What is declared; and what is not any more, but is paused or has tasks."""
    others = {*rows.paused, *(rows.loads or {}), *(queue for worker in rows.workers for queue in worker.queues)}
    return [*registry().pools, *sorted(others - registry().pools.keys())]


def _queue(name: str, rows: PoolRows, seen: Survey, sizes: Mapping[str, Any]) -> QueueView:
    paused, depth = rows.paused.get(name), seen.queues.get(name)
    return QueueView(
        name=name,
        pool=registry().pools.get(name),
        state=_state(name, paused, depth, seen),
        depth=depth,
        load=rows.loads.get(name, Load()) if rows.loads is not None else None,
        paused=paused,
        pause_words=lives.pause_sentence(paused) if paused else "",
        unconfirmed=[str(one) for one in rows.unconfirmed.get(name, ())],
        workers=[_worker(worker, sizes) for worker in rows.of(name)],
        pause_url=reverse("console:pause", args=[name]),
        resume_url=reverse("console:resume", args=[name]),
    )


def _state(name: str, paused: QueuePause | None, depth: QueueDepth | None, seen: Survey) -> StateWord:
    if paused:
        return PAUSED
    if seen.broker.error or name not in registry().pools:
        return UNKNOWN
    if depth is None:
        return MISSING
    return SERVED if depth.consumers else UNSERVED


def _worker(worker: WorkerRow, sizes: Mapping[str, Any]) -> WorkerView:
    told = _told(sizes.get(worker.name))
    return WorkerView(
        worker,
        told.get("size"),
        told.get("busy"),
        str(told.get("error", "")),
        reverse("console:resize", args=[worker.row.pk]),
    )


def _verdict(seen: Survey, rows: PoolRows) -> Verdict:
    """Of queues and workers alone; the start page has the rest."""
    kinds = ("broker", "database", "relay", "lane", "worker")
    wrong = [finding.advice for finding in seen.problems if finding.subject.partition(" ")[0] in kinds]
    if len(wrong) == 1:
        return Verdict("bad", wrong[0])
    if wrong:
        needs = ngettext("%(count)d thing needs you.", "%(count)d things need you.", len(wrong))
        return Verdict("bad", needs % {"count": len(wrong)}, wrong)
    workers = sum(not worker.is_late for worker in rows.workers)
    living = ngettext("%(count)d worker lives", "%(count)d workers live", workers) % {"count": workers}
    count = len(rows.paused)
    if not count:
        return Verdict("good", _("Every queue is served; %(living)s.") % {"living": living})
    paused = ngettext("%(count)d queue is paused", "%(count)d queues are paused", count) % {"count": count}
    return Verdict("look", _("%(paused)s; %(living)s.") % {"paused": paused, "living": living})
