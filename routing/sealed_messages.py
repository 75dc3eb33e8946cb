"""Messages whose secret arguments are sealed: a task's own, and those of all that is to follow it."""

import json
from collections.abc import Mapping
from typing import Any

from celery.utils.saferepr import saferepr

from routing.refusals import SecretsInMap
from routing.sensitive import BUILT_IN, hidden, of

FOLLOWING = ("link", "link_error", "chain", "chord", "callbacks", "errbacks")
"""What is enqueued after a task: in the options of a call and of a signature, and at last in a message."""
_MAPS = ("celery.map", "celery.starmap", "celery.chunks")
_REPR = 1024


def sealed_message(task: str, args: Any, kwargs: Any, options: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Arguments and options of a call. Raises NotSerialisable and SecretsInMap."""
    if (declared := of(task)) is not None:
        args, kwargs = declared.sealed(args, kwargs)
        options = {**options, **reprs(args, kwargs)}
    elif task.startswith(BUILT_IN):
        args, kwargs = _built_in(task, args, kwargs)
    following = {name: sealed_signatures(options[name]) for name in FOLLOWING if options.get(name)}
    return args, kwargs, {**options, **following} if following else options


def reprs(args: Any, kwargs: Any) -> dict[str, str]:
    """What logs and events show of the arguments."""
    return {"argsrepr": saferepr(hidden(args), _REPR), "kwargsrepr": saferepr(hidden(kwargs), _REPR)}


def sealed_signatures(value: Any) -> Any:
    """Signatures, as JSON has them, of what they are made of and of what follows them; a new object."""
    match value:
        case {"task": str(task)} if "args" in value or "kwargs" in value:
            return _sealed_signature(task, value)
        case Mapping():
            return {name: sealed_signatures(each) for name, each in value.items()}
        case list() | tuple():
            return [sealed_signatures(each) for each in value]
        case _:
            return value


def _sealed_signature(task: str, value: Mapping[str, Any]) -> dict[str, Any]:
    args, kwargs, options = value.get("args"), value.get("kwargs"), value.get("options")
    if (declared := of(task)) is not None:
        args, kwargs = declared.sealed_in_part(args, kwargs, immutable=bool(value.get("immutable")))
    elif task.startswith(BUILT_IN):
        args, kwargs = _built_in(task, args, kwargs)
    if isinstance(options, Mapping):
        options = {**options, **{name: sealed_signatures(options[name]) for name in FOLLOWING if options.get(name)}}
    # What only looks like a signature stays as it is.
    sealed = {"args": args, "kwargs": kwargs, "options": options}
    return {**value, **{name: each for name, each in sealed.items() if name in value}}


def _built_in(task: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Raises SecretsInMap."""
    inner = dict(kwargs or {}).get("task")
    if task in _MAPS and isinstance(inner, Mapping) and of(name := inner.get("task")):
        raise SecretsInMap(str(name), task)
    return sealed_signatures(args), sealed_signatures(kwargs)


def sealed_body(task: str, body: bytes) -> bytes:
    """A message's bytes as another program sent them, in protocol 2 or 1; the very same where nothing is secret."""
    try:
        parts = json.loads(body)
        sealed = sealed_parts(task, parts)
    except (ValueError, TypeError, RecursionError):
        # Whatever it is, it is no call of a task.
        return body
    return body if sealed == parts else json.dumps(sealed).encode()


def sealed_parts(task: str, parts: Any) -> Any:
    """The same of a body that has been read."""
    match parts:
        case [list() | None, dict() | None, *more] if len(more) <= 1:
            args, kwargs, _ = sealed_message(task, parts[0], parts[1], {})
            return [args, kwargs, *map(sealed_signatures, more)]
        case {"args": _} | {"kwargs": _}:
            args, kwargs, _ = sealed_message(task, parts.get("args"), parts.get("kwargs"), {})
            following = {name: sealed_signatures(parts[name]) for name in FOLLOWING if parts.get(name)}
            return {**parts, "args": args, "kwargs": kwargs, **following}
        case _:
            return parts
