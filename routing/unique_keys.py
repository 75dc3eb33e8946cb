"""Unique keys of tasks that are made of their arguments, of which secret ones cannot be read in them."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from routing import sealing, sensitive
from routing.masking import without


def made(
    task: str, run: Callable[..., Any], by: Sequence[str] | Callable[..., str], args: Sequence[Any], kwargs: Any
) -> str:
    declared = sensitive.of(task)
    if declared is not None:
        # A link of a chain has them sealed, each time otherwise.
        args, kwargs = declared.opened(args, kwargs)
    if callable(by):
        return str(by(*args, **kwargs))
    bound = signature(run).bind(*args, **kwargs)
    bound.apply_defaults()
    secret = declared.names if declared is not None else ()
    return ",".join(f"{name}={_part(bound.arguments[name], is_secret=name in secret)}" for name in by)


def _part(value: Any, *, is_secret: bool) -> str:
    return _digest(repr(value)) if is_secret else repr(value)


def without_secrets(task: str, key: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> str:
    """The key; where a secret argument stands in it, what only tells it from other keys."""
    declared = sensitive.of(task)
    if declared is None:
        return key
    secrets = declared.secrets(*declared.opened(args or (), kwargs or {}))
    return key if without(key, secrets) == key else _digest(key)


def _digest(text: str) -> str:
    return sealing.digest(text, purpose=sensitive.PURPOSE)
