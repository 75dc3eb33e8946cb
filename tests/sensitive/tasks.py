"""Tasks with secret arguments, which quote them wherever they can."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import shared_task

from routing.errors import PermanentError, TransientError

SHORTLY = timedelta(milliseconds=200)


@shared_task(name="reporting.charge", sensitive=("card", "pin"))  # type: ignore[call-overload]
def charge(order: str, card: str = "", *, pin: int | None = None) -> dict[str, Any]:
    """Declares them in vain: its value says both."""
    return {"order": order, "digits": len(card), "said": f"paid with {card}", "pin": pin}


@shared_task(name="reporting.charge_note", sensitive=("card",))  # type: ignore[call-overload]
def note(path: str, card: Any) -> str:
    """What the body got, seen from outside."""
    with Path(path).open("a") as file:
        file.write(f"{card!r}\n")
    return path


@shared_task(name="reporting.charge_last", sensitive=("card",))  # type: ignore[call-overload]
def note_last(before: str, path: str, card: str) -> str:
    """As a link of a chain, which gets the result of the task before it."""
    return str(note.run(path, card))


@shared_task(name="reporting.charge_declined", sensitive=("card",), bind=True, max_retries=1)  # type: ignore[call-overload]
def decline(self: Any, card: str) -> None:
    """Quotes it in progress, in an error that is tried again, and in one that is not, with notes and causes."""
    self.update_state(state="PROGRESS", meta={"card": card})
    if self.request.retries == 0:
        raise TransientError(f"{card} is busy", retry_after=SHORTLY)
    try:
        raise KeyError(card)
    except KeyError as inner:
        error = PermanentError(f"{card} is declined", {"card": card})
        error.add_note(f"Ask the owner of {card}")
        raise error from inner


@shared_task(name="reporting.charge_once", unique_by=("order", "card"), sensitive=("card",))  # type: ignore[call-overload]
def charge_once(order: str, card: str) -> None:
    """One at a time for each order and card."""


@shared_task(name="reporting.charge_all")
def collect(values: list[Any]) -> int:
    return len(values)
