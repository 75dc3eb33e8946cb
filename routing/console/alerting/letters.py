"""What an alert says: what is wrong and its cure, since when, who says so, and when there is more to hear."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from routing.console.time_words import short
from routing.domains import registry
from routing.ledger.alerts import Cause, Telling, Timing

LONGEST_SUBJECT = 120
NO_WORKER = "No worker runs, so no task does. Start all of it: make up. Or one: manage.py pool NAME"


@dataclass(frozen=True)
class Letter:
    """``kind`` is ``wrong``, ``over`` or ``test``."""

    kind: str
    subject: str
    text: str
    causes: Sequence[Cause] = ()
    number: str = ""

    def as_json(self) -> dict[str, Any]:
        """For a webhook. ``text`` is where chat programs look for it."""
        return {
            "kind": self.kind,
            "text": f"{self.subject}\n\n{self.text}",
            "site": settings.SITE_URL,
            "alerts": [
                {
                    "key": cause.number,
                    "cause": cause.name,
                    "sentence": cause.sentence,
                    "since": cause.began_at.isoformat(),
                }
                for cause in self.causes
            ],
        }


def of(telling: Telling, *, timing: Timing, at: datetime, by: str) -> Letter:
    causes = telling.causes
    lines = _lines(causes, at)
    ending = _until(timing) if telling.ended else _again(timing, at)
    if telling.ended:
        subject = f"over: {_first(lines[0][0])}" if len(lines) == 1 else f"{len(lines)} things are over"
    else:
        subject = _first(lines[0][0]) if len(lines) == 1 else f"{len(lines)} things are wrong"
        subject = f"still: {subject}" if all(cause.told_before for cause in causes) else subject
    told = "\n\n".join(f"{'Over: ' if telling.ended else ''}{sentence}\n{since}" for sentence, since in lines)
    return Letter(
        kind="over" if telling.ended else "wrong",
        subject=f"Taskyard: {subject}"[:LONGEST_SUBJECT],
        text=f"{told}\n\n{ending}\n\n{_foot(by)}",
        causes=causes,
        number=causes[0].number,
    )


def test(*, by: str) -> Letter:
    text = "This is a test: what is wrong will be told here. Nothing is wrong because of it."
    return Letter("test", "Taskyard: a test of its alerts", f"{text}\n\n{_foot(by)}")


def _lines(causes: Sequence[Cause], at: datetime) -> list[tuple[str, str]]:
    """A sentence and its time for each; where every lane lacks a worker, that is one thing."""
    lanes = {f"lane {name}" for name in registry().pools}
    if len(lanes) > 1 and lanes <= {cause.name for cause in causes}:
        began = min(cause.began_at for cause in causes if cause.name in lanes)
        rest = [cause for cause in causes if cause.name not in lanes]
        return [(NO_WORKER, _since(began, at)), *((cause.sentence, _since(cause.began_at, at)) for cause in rest)]
    return [(cause.sentence, _since(cause.began_at, at)) for cause in causes]


def _since(began: datetime, at: datetime) -> str:
    return f"Since {_moment(began)}, for {short(max(at - began, timedelta()))}."


def _again(timing: Timing, at: datetime) -> str:
    return f"You hear when it is over; if it lasts, again at {_moment(at + timing.window)}."


def _until(timing: Timing) -> str:
    return f"Should it come back, you hear of that, at most once in {short(timing.window)}."


def _foot(by: str) -> str:
    return (
        f"{settings.SITE_URL}/admin/\n"
        "What to do: manage.py status, and “Incidents” in docs/operations.md\n"
        f"Told by {by}, not through the pipeline."
    )


def _moment(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%d %b %H:%M %Z")


def _first(sentence: str) -> str:
    """Without the cure, which follows it."""
    return sentence.partition(". ")[0].rstrip(".")
