"""Secret arguments of tasks, ``@shared_task(sensitive=("card",))``: sealed wherever a task is kept or travels.

In the place of such an argument stands ``{"taskyard_sealed": "…"}``, from the moment at which the task is sent until a
worker is about to call its body.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from celery import current_app
from django.apps import apps
from django.utils.module_loading import autodiscover_modules
from kombu.utils.json import dumps, loads

from routing import sealing
from routing.masking import MASK
from routing.refusals import NotSerialisable, WrongDeclaration

SEALED = "taskyard_sealed"
PURPOSE = "arguments"
BUILT_IN = "celery."


@dataclass(frozen=True, slots=True)
class Declared:
    """Which arguments of a task are secret: their names, and where they stand if they are given without them."""

    task: str
    names: tuple[str, ...]
    places: frozenset[int]

    def sealed(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        """What is sealed already stays so, with today's key from now on. Raises NotSerialisable."""
        return self._sealed(args, kwargs, self.places)

    def sealed_in_part(self, args: Any, kwargs: Any, *, immutable: bool) -> tuple[list[Any], dict[str, Any]]:
        """Of a signature, before whose arguments the result of the task before it may still be put."""
        places = self.places if immutable else self.places | {place - 1 for place in self.places}
        return self._sealed(args, kwargs, places)

    def _sealed(self, args: Any, kwargs: Any, places: Iterable[int]) -> tuple[list[Any], dict[str, Any]]:
        return (
            [self._seal(value) if place in places else value for place, value in enumerate(args or ())],
            {name: self._seal(value) if name in self.names else value for name, value in dict(kwargs or {}).items()},
        )

    def _seal(self, value: Any) -> Any:
        try:
            return seal(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise NotSerialisable(self.task, error) from None

    def opened(self, args: Iterable[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """As the body wants them. Raises SealedOtherwise."""
        return (
            [_opened(value, must=place in self.places) for place, value in enumerate(args)],
            {name: _opened(value, must=name in self.names) for name, value in kwargs.items()},
        )

    def secrets(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The secret ones among arguments that are open."""
        named = [kwargs[name] for name in self.names if name in kwargs]
        return [*named, *(value for place, value in enumerate(args) if place in self.places)]


_declared: dict[str, Declared | None] = {}
"""Of each task that this process knows; None for those without."""
_learnt = False
_EITHER = Parameter.POSITIONAL_OR_KEYWORD


def read(task: str, run: Any, names: Any, *, bound: bool) -> Declared | None:
    """Raises WrongDeclaration. None for none."""
    if not names:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise WrongDeclaration(task, f"sensitive={names!r} is no tuple of names", 'write sensitive=("card",)')
    parameters = list(signature(run).parameters.values())[1 if bound else 0 :]
    known = {each.name for each in parameters if each.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)}
    kinds = {each.kind for each in parameters}
    takes_any_name = Parameter.VAR_KEYWORD in kinds and Parameter.VAR_POSITIONAL not in kinds
    if (unknown := [name for name in names if name not in known]) and not takes_any_name:
        there_are = ", ".join(sorted(known)) or "none"
        cure = f"name arguments that it has: {there_are}. A decorator of its own needs functools.wraps"
        raise WrongDeclaration(task, f"sensitive= names {', '.join(unknown)}, which it does not take", cure)
    positional = [each.name for each in parameters if each.kind in (Parameter.POSITIONAL_ONLY, _EITHER)]
    return Declared(task, tuple(names), frozenset(positional.index(name) for name in names if name in positional))


def declare(task: str, declared: Declared | None) -> None:
    """For all who send, keep or show it."""
    _declared[task] = declared


def of(task: str | None) -> Declared | None:
    """A process that only sends a task by its name may not have loaded its code: then it does, once."""
    if not task:
        return None
    if task not in _declared and not task.startswith(BUILT_IN):
        _learn()
    return _declared.get(task)


def _learn() -> None:
    global _learnt
    if _learnt or not apps.ready:
        return
    _learnt = True
    # Not through Celery's loader: that would run all system checks.
    autodiscover_modules("tasks")
    current_app.finalize()


def seal(value: Any) -> Any:
    """None says nothing, and stays."""
    if value is None:
        return value
    if is_sealed(value):
        return _of_todays_key(value)
    return {SEALED: sealing.seal(dumps(value).encode(), purpose=PURPOSE)}


def _of_todays_key(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """So that what came by an old copy of its message is not written with an old key, once the rows have today's."""
    if not sealing.is_of_todays_key(value[SEALED], purpose=PURPOSE):
        with suppress(sealing.SealedOtherwise):
            return {SEALED: sealing.reseal(value[SEALED], purpose=PURPOSE)}
    return value


def unseal(value: Mapping[str, Any]) -> Any:
    """Raises SealedOtherwise."""
    return loads(sealing.unseal(value[SEALED], purpose=PURPOSE))


def is_sealed(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and isinstance(value.get(SEALED), str)


def _opened(value: Any, *, must: bool) -> Any:
    if is_sealed(value):
        # A caller may have given another argument that looks like it.
        with suppress(*(() if must else (sealing.SealedOtherwise,))):
            return unseal(value)
    return value


def hidden(value: Any) -> Any:
    """A value as JSON has it, with a mask in the place of what is sealed in it."""
    if is_sealed(value):
        return MASK
    match value:
        case Mapping():
            return {name: hidden(each) for name, each in value.items()}
        case list() | tuple():
            return [hidden(each) for each in value]
        case _:
            return value
