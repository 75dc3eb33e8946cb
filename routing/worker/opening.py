"""Secret arguments are opened just before the body, and what the body comes to is told without them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from routing.errors import NotYet
from routing.last_step import LastStep
from routing.masking import cleaned, masked
from routing.sealing import SealedOtherwise
from routing.sensitive import Declared

if TYPE_CHECKING:
    from routing.worker.running import Run

logger = logging.getLogger(__name__)

PAUSE = timedelta(seconds=30)


class NoKey(NotYet):
    """The task is not lost: it goes back, and runs once its worker has the key."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"The secret arguments of {task} were sealed with a SECRET_KEY that this worker does not have. Put that "
            "key into SECRET_KEY_FALLBACKS, and restart the workers; it runs then.",
            after=PAUSE,
        )


def call(
    declared: Declared,
    body: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    run: "Run | None" = None,
) -> Any:
    """What the body returns, with its secret arguments masked in it. Raises NoKey, and the body's own error, masked.

    Without a ``run``, what is readable is so because whoever calls it as a function gives it like that, and gets the
    body's error and value as they are.
    """
    try:
        opened, named = declared.opened(args, kwargs)
    except SealedOtherwise:
        error = NoKey(declared.task)
        logger.error("%s", error)  # noqa: TRY400  (its traceback tells nothing)
        raise error from None
    if run is None and (opened, named) == (list(args), dict(kwargs)):
        return body(*args, **kwargs)
    secrets = declared.secrets(opened, named)
    if run is not None:
        run.secrets = secrets
    return _told_without(lambda: body(*opened, **named), secrets)


def _told_without(step: Callable[[], Any], secrets: list[Any]) -> Any:
    try:
        value = step()
    except BaseException as error:
        told = cleaned(error, secrets)
        if told is error:
            raise
        raise told from None
    if isinstance(value, LastStep):
        return LastStep(lambda: _told_without(value.step, secrets))
    return masked(value, secrets)
