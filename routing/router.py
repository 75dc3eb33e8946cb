"""From a task's name to its queue: the one function behind ``CELERY_TASK_ROUTES``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from routing.domains import registry

BUILT_IN = "celery."
HOUSEKEEPING = "maintenance"


class NoDomain(LookupError):
    """No domain claims a task."""

    def __init__(self, task_name: str) -> None:
        domains = ", ".join(domain.name for domain in registry())
        super().__init__(
            f"No domain claims the task {task_name!r}, so no queue can be named for it. The domains are: {domains}. "
            f"Name the task <domain>.<verb>, or add a pattern for it in project/domains.py."
        )


def route(
    name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, *_: object, **__: object
) -> dict[str, str]:
    """The default lane of the domain that claims the task. A caller's own ``queue=`` goes before it.

    Celery's built-ins (map, starmap, chunks, chord_unlock, …) follow the tasks they contain.

    Raises NoDomain.
    """
    domain = registry().of_task(_first_domain_task(name, args, kwargs))
    if domain is None:
        raise NoDomain(name)
    return {"queue": domain.queue()}


def _first_domain_task(name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> str:
    if not name.startswith(BUILT_IN):
        return name
    contained = _task_names([args, kwargs])
    return next((task for task in contained if not task.startswith(BUILT_IN)), f"{HOUSEKEEPING}.{name}")


def _task_names(value: object) -> Iterator[str]:
    """Names of the task signatures inside a built-in's arguments, outermost first."""
    if isinstance(value, Mapping):
        if isinstance(value.get("task"), str):
            yield value["task"]
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _task_names(item)
