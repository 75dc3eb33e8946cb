"""The sample tasks that the first start sends, one through every queue. A new domain may add its own here."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any

from celery import current_app, states
from django.conf import settings
from django.utils import timezone
from django_celery_results.models import TaskResult
from rich.console import Console as RichConsole
from rich.table import Table

from reporting import reports
from reporting.runs import ordering
from reporting.weeks import Week
from routing.domains import registry
from routing.ledger import lookup

TICK = 0.2


@dataclass(frozen=True)
class Sample:
    queue: str
    task: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a sample. ``state`` is empty where there was none to send; times are None until they are known."""

    queue: str
    task: str = ""
    state: str = ""
    waited: timedelta | None = None
    ran: timedelta | None = None

    @property
    def well(self) -> bool:
        return self.state in ("", states.SUCCESS)


def declared() -> list[Sample]:
    notifications = [
        Sample(queue, "notifications.send_email", _greeting(queue))
        for queue in ("notifications", "notifications.urgent", "notifications.bulk")
    ]
    return [
        *notifications,
        Sample("reporting", "reporting.weekly", {}),
        Sample("maintenance", "maintenance.cleanup", {}),
    ]


def wanted() -> bool:
    """Whether nothing ever ran here, so that there is something to show a newcomer."""
    return not (lookup.messages().exists() or TaskResult.objects.exists())


def run(*, seconds: float) -> list[Outcome]:
    """Send every sample, wait for all of them at most this long, and tell what became of them, in the queues' order."""
    sent = {sample.queue: (sample, _send(sample)) for sample in declared()}
    task_ids = [task_id for _, task_id in sent.values()]
    deadline = time.monotonic() + seconds
    while _unfinished(task_ids) and time.monotonic() < deadline:
        time.sleep(TICK)
    return [_outcome(*sent[queue]) if queue in sent else Outcome(queue) for queue in registry().pools]


def make_report(*, seconds: float) -> bool:
    """Mail this week's figures so far to the sender. Whether the mail was accepted in time."""
    now = timezone.now()
    ordering.send_to(reports.named("weekly"), Week.of(now), [settings.DEFAULT_FROM_EMAIL], now=now)
    # The first of them enqueues the second in its own transaction, so that there is no moment without either.
    mail = ("notifications.notify", "notifications.deliver")
    deadline = time.monotonic() + seconds
    while lookup.messages().filter(created_at__gte=now, task__in=mail).exists() and time.monotonic() < deadline:
        time.sleep(TICK)
    ended = TaskResult.objects.filter(date_created__gte=now, task_name__in=mail)
    return set(ended.values_list("task_name", "status")) == {(name, states.SUCCESS) for name in mail}


def table(outcomes: Sequence[Outcome], *, coloured: bool) -> str:
    table = Table(title="One sample through every queue", title_justify="left")
    for heading in ("Queue", "Task", "State"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Waited", "Ran"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        state = outcome.state or "no sample"
        style = "green" if outcome.state == states.SUCCESS else "dim" if outcome.well else "bold red"
        table.add_row(
            outcome.queue, outcome.task, f"[{style}]{state}[/]", _seconds(outcome.waited), _seconds(outcome.ran)
        )
    output = StringIO()
    RichConsole(file=output, force_terminal=coloured, width=100).print(table)
    return output.getvalue().rstrip()


def _greeting(queue: str) -> dict[str, Any]:
    return {
        "subject": f"Taskyard: a sample through {queue}",
        "text": f"This message went through the queue {queue}, its worker pool and your mail settings.\n",
        # To the sender: with a real mail server, nobody else asked for it.
        "to": [settings.DEFAULT_FROM_EMAIL],
    }


def _send(sample: Sample) -> str:
    return str(current_app.send_task(sample.task, kwargs=dict(sample.arguments), queue=sample.queue).id)


def _unfinished(task_ids: Sequence[str]) -> bool:
    return bool(lookup.messages().filter(pk__in=task_ids).exists())


def _outcome(sample: Sample, task_id: str) -> Outcome:
    # In flight first: a task that settles between the two looks is then found by the second.
    message = lookup.in_flight(task_id)
    if message is not None:
        started = message.started_at
        waited = started - message.created_at if started else None
        return Outcome(sample.queue, sample.task, message.state, waited=waited)
    row = TaskResult.objects.filter(task_id=task_id).first()
    if row is None:
        return Outcome(sample.queue, sample.task, "LOST")
    started = row.date_started
    return Outcome(
        sample.queue,
        sample.task,
        row.status,
        waited=started - row.date_created if started else None,
        ran=row.date_done - started if started else None,
    )


def _seconds(span: timedelta | None) -> str:
    return "" if span is None else f"{span.total_seconds():.2f} s"
