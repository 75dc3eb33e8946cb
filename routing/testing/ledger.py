"""What a test has enqueued, as the ledger has it: in order, with what was asked for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from celery import current_app
from django.db.models import F, OuterRef, Subquery

from routing import sensitive
from routing.ledger import database
from routing.ledger.enqueue import REPLACED
from routing.ledger.tables import Message, Outbox

_FOLLOWING = {"callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord"}


class UnknownTask(LookupError):
    def __init__(self, name: str) -> None:
        close = get_close_matches(name, list(current_app.tasks), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else " Import the module that declares it."
        super().__init__(f"No task is called {name!r}.{hint}")


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """A task in flight. ``options`` has what was asked for besides, by the names that ``apply_async`` knows."""

    id: str
    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    queue: str
    due_at: datetime
    attempt: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{self.name}({', '.join(arguments)}) in {self.queue}"


def enqueued(task: Any = None) -> list[Enqueued]:
    """What is in flight, or what of it is this task's, by name or the task itself; in the order of its enqueueing.

    Raises UnknownTask for a name that no task has: a list that is empty for that reason would prove nothing.
    """
    found = waiting()
    return [*map(_read, found.filter(task=name_of(task)) if task is not None else found)]


def assert_enqueued(
    task: Any,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    queue: str | None = None,
    times: int = 1,
) -> list[Enqueued]:
    """The tasks that were enqueued so; AssertionError, telling what there was instead, if they are not ``times`` many.

    ``kwargs`` may name some of the named arguments only.
    """
    found = [
        one
        for one in enqueued(task)
        if (args is None or one.args == list(args))
        and (queue is None or one.queue == queue)
        and all(name in one.kwargs and one.kwargs[name] == value for name, value in (kwargs or {}).items())
    ]
    if len(found) != times:
        wanted = {"args": args, "kwargs": kwargs, "queue": queue}
        asked = "".join(f", {name}={value!r}" for name, value in wanted.items() if value is not None)
        raise AssertionError(f"{name_of(task)}{asked} was enqueued {len(found)} times instead of {times}. {_all()}")
    return found


def waiting() -> Any:
    """Messages that nobody runs, in the order of their publication."""
    own = Outbox.objects.using(database.using()).filter(message_id=OuterRef("pk"), epoch=OuterRef("epoch"))
    messages = Message.objects.using(database.using()).filter(owner=None).exclude(state=REPLACED)
    place = Subquery(own.order_by("pk").values("pk")[:1])
    return messages.annotate(place=place).order_by(F("place").asc(nulls_first=True), "created_at")


def name_of(task: Any) -> str:
    """Raises UnknownTask."""
    name = task if isinstance(task, str) else task.name
    if name not in current_app.tasks:
        raise UnknownTask(name)
    return str(name)


def _all() -> str:
    everything = [f"  {one}" for one in enqueued()]
    return "\n".join(["What is in flight:", *everything]) if everything else "Nothing is in flight."


def _read(message: Message) -> Enqueued:
    args, kwargs, embed = json.loads(message.body)
    if (secret := sensitive.of(message.task)) is not None:
        args, kwargs = secret.opened(args, kwargs)
    return Enqueued(
        id=message.id,
        name=message.task,
        args=args,
        kwargs=kwargs,
        queue=message.queue,
        due_at=message.due_at,
        attempt=message.attempt,
        options=_options(message, embed or {}),
    )


def _options(message: Message, embed: Mapping[str, Any]) -> dict[str, Any]:
    headers, properties = json.loads(message.headers), json.loads(message.properties)
    time_limit, soft_time_limit = headers.get("timelimit") or (None, None)
    found = {
        **{name: embed.get(part) for part, name in _FOLLOWING.items()},
        "priority": properties.get("priority"),
        "expires": message.expires_at,
        "time_limit": time_limit,
        "soft_time_limit": soft_time_limit,
        "ignore_result": headers.get("ignore_result"),
        "shadow": headers.get("shadow"),
    }
    return {name: value for name, value in found.items() if value not in (None, False, [])}
