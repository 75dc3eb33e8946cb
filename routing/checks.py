"""System checks: a project whose tasks, domains and limits do not fit together does not start."""

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import autodiscover_modules

from routing.domains import Domain, registry
from routing.router import BUILT_IN

DOCS = "See docs/topology.md."


@register()
def check_domains(**_: Any) -> list[CheckMessage]:
    return [*_tasks_without_one_domain(), *_limits(), *_limits_of_tasks(), *_schedule()]


def _tasks_without_one_domain() -> Iterator[CheckMessage]:
    # Not through Celery's loader: it runs these very checks whenever it imports the task modules.
    autodiscover_modules("tasks")
    for name in sorted(current_app.tasks):
        if name.startswith(BUILT_IN):
            continue
        claimants = [domain.name for domain in registry().claimants(name)]
        if not claimants:
            yield Error(
                f"No domain claims the task {name!r}.",
                hint=f"Name it <domain>.<verb>, or add a pattern for it to a domain in project/domains.py. {DOCS}",
                id="routing.E001",
            )
        if len(claimants) > 1:
            yield Error(
                f"The task {name!r} is claimed by more than one domain: {', '.join(claimants)}.",
                hint=f"Narrow the patterns in project/domains.py until one domain is left. {DOCS}",
                id="routing.E002",
            )
        queue = getattr(current_app.tasks[name], "queue", None)
        if queue and queue not in registry().pools:
            yield Error(
                f"The task {name!r} asks for the queue {queue!r}, which no domain declares.",
                hint=f"Use one of {', '.join(registry().pools)}, or add a lane in project/domains.py. {DOCS}",
                id="routing.E003",
            )


def _limits() -> Iterator[CheckMessage]:
    timeout = settings.TASKYARD_CONSUMER_TIMEOUT
    for domain in registry():
        if domain.time_limit >= timeout:
            yield Error(
                f"Domain {domain.name!r} lets a task run for {domain.time_limit}, but RabbitMQ takes a message back "
                f"after {timeout} (consumer_timeout).",
                hint="Lower time_limit in project/domains.py, or raise consumer_timeout on the broker and "
                "BROKER_CONSUMER_TIMEOUT here.",
                id="routing.E004",
            )
        elif (held := domain.retry.longest_delay + _longest_hold(domain) * domain.time_limit) >= timeout:
            yield CheckWarning(
                f"Domain {domain.name!r}: a worker may hold a message for up to {held}, until a retry is due and then "
                f"behind others, but RabbitMQ takes it back after {timeout} (consumer_timeout).",
                hint="Lower prefetch, time_limit or retry.max_delay in project/domains.py.",
                id="routing.W001",
            )


def _limits_of_tasks() -> Iterator[CheckMessage]:
    """Those that a task's decorator gives go before its domain's."""
    timeout = settings.TASKYARD_CONSUMER_TIMEOUT
    for name, task in sorted(current_app.tasks.items()):
        domain = registry().of_task(name)
        if not domain or not task.time_limit or task.time_limit == domain.time_limit.total_seconds():
            continue
        if task.time_limit >= timeout.total_seconds():
            yield Error(
                f"The task {name!r} may run for {task.time_limit} s, but RabbitMQ takes a message back after {timeout} "
                "(consumer_timeout).",
                hint="Lower its time_limit, or raise consumer_timeout on the broker and BROKER_CONSUMER_TIMEOUT here.",
                id="routing.E004",
            )


def _longest_hold(domain: Domain) -> int:
    return max(pool.prefetch for pool in registry().pools.values() if pool.domain is domain)


def _schedule() -> Iterator[CheckMessage]:
    for entry, spec in current_app.conf.beat_schedule.items():
        if spec["task"] not in current_app.tasks:
            yield Error(
                f"The schedule entry {entry!r} runs the task {spec['task']!r}, which does not exist.",
                hint="Correct its name in CELERY_BEAT_SCHEDULE.",
                id="routing.E006",
            )
        queue = spec.get("options", {}).get("queue")
        if queue and queue not in registry().pools:
            yield Error(
                f"The schedule entry {entry!r} asks for the queue {queue!r}, which no domain declares.",
                hint=f"Use one of {', '.join(registry().pools)}.",
                id="routing.E003",
            )
