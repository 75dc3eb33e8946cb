"""System checks: a project whose tasks, domains and limits do not fit together does not start."""

import inspect
import stat
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import autodiscover_modules

from routing.domains import Domain, registry
from routing.router import BUILT_IN
from routing.schedule.definition import Unusable, read_all
from routing.worker.stopping import LAST
from routing.worker.task import Task

DOCS = "See docs/topology.md."


@register()
def check_domains(**_: Any) -> list[CheckMessage]:
    return [
        *_tasks_without_one_domain(),
        *_classes(),
        *_overrides(),
        *_limits(),
        *_limits_of_tasks(),
        *_schedule(),
        *_stop(),
        *_broker_key(),
    ]


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


def _classes() -> Iterator[CheckMessage]:
    for name, task in sorted(current_app.tasks.items()):
        if not name.startswith(BUILT_IN) and not isinstance(task, Task):
            yield Error(
                f"The task {name!r} is not derived from routing.worker.task.Task: it would run without a claim, and "
                "its outcome would never be recorded.",
                hint="Leave base= out, or derive that class from routing.worker.task.Task.",
                id="routing.E007",
            )


HOOKS = {
    "__call__": "the outcomes of its tasks are never recorded",
    "before_start": "its tasks run without a claim, and so several times at once",
    "on_replace": "what is to replace one of its tasks is lost",
    "retry": "its tasks are not retried by their domain's policy",
}
"""Methods of the task base that the ledger lives on, and what goes wrong without each."""


def _overrides() -> Iterator[CheckMessage]:
    classes = dict.fromkeys(base for _, task in sorted(current_app.tasks.items()) for base in _below_ours(type(task)))
    for base in classes:
        for method in HOOKS:
            if method in vars(base) and not _calls_super(vars(base)[method], method):
                yield CheckWarning(
                    f"{base.__module__}.{base.__qualname__} overrides {method}() without a call of super().{method}(): "
                    f"{HOOKS[method]}.",
                    hint=f"Call super().{method}() in it, and return what that returns.",
                    id="routing.W002",
                )


def _below_ours(task_class: type) -> Iterator[type]:
    """The class, and those it is derived from, down to the base of all of ours, which is left out."""
    return takewhile(lambda base: base is not Task, task_class.__mro__) if issubclass(task_class, Task) else iter(())


def _calls_super(function: Any, name: str) -> bool:
    """Whether its code refers to super(), or by name to the method of another class. True where there is no code."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or "__class__" in code.co_freevars or not {"super", name}.isdisjoint(code.co_names)


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
        elif (held := _longest_hold(domain) * domain.time_limit) >= timeout:
            yield CheckWarning(
                f"Domain {domain.name!r}: a worker may hold a message for up to {held} behind others, but RabbitMQ "
                f"takes it back after {timeout} (consumer_timeout).",
                hint="Lower prefetch or time_limit in project/domains.py.",
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


def _stop() -> Iterator[CheckMessage]:
    needed = (current_app.conf.worker_soft_shutdown_timeout or 0) + LAST
    if needed > settings.TASKYARD_STOP_WITHIN:
        yield Error(
            f"A worker that is stopped may take {needed:g} s to give back what it runs (worker_soft_shutdown_timeout "
            f"and {LAST:g} s), but is killed after {settings.TASKYARD_STOP_WITHIN:g} s (TASKYARD_STOP_WITHIN).",
            hint="Have the supervisor wait longer, and say so in TASKYARD_STOP_WITHIN; or lower "
            "CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT. See docs/operations.md.",
            id="routing.E020",
        )


def _schedule() -> Iterator[CheckMessage]:
    for name, found in read_all(current_app):
        if isinstance(found, Unusable):
            yield Error(f"The schedule entry {name!r} cannot be run. {found.wrong}", hint=found.cure, id=found.check)


def _broker_key() -> Iterator[CheckMessage]:
    path = settings.TASKYARD_BROKER_KEY
    if path is not None and Path(path).stat().st_mode & stat.S_IROTH:
        yield CheckWarning(
            f"BROKER_KEY={path} can be read by everyone on this machine, who could pass for us with it.",
            hint=f"chmod o= {path}",
            id="routing.W003",
        )
