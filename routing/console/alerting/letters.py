"""What an alert says: what is wrong and its cure, since when, who says so, and when there is more to hear.

It goes to addresses, of whom no language is known: so it speaks the site's own, LANGUAGE_CODE, as the causes do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from routing.console.survey import no_worker
from routing.console.time_words import short
from routing.domains import registry
from routing.ledger.alerts import Cause, Telling, Timing

LONGEST_SUBJECT = 120


Lines = Sequence[tuple[str, str]]
"""A sentence and its time, for each thing."""


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
    with override(settings.LANGUAGE_CODE):
        lines = _lines(telling.causes, at)
        subject, told = (_over if telling.ended else _wrong)(lines)
        if not telling.ended and all(cause.told_before for cause in telling.causes):
            subject = _("still: %(what)s") % {"what": subject}
        ending = _until(timing) if telling.ended else _again(timing, at)
        text = "\n\n".join([*told, ending, _foot(by)])
    return Letter(
        kind="over" if telling.ended else "wrong",
        subject=f"Taskyard: {subject}"[:LONGEST_SUBJECT],
        text=text,
        causes=telling.causes,
        number=telling.causes[0].number,
    )


def test(*, by: str) -> Letter:
    with override(settings.LANGUAGE_CODE):
        text = _("This is a test: what is wrong will be told here. Nothing is wrong because of it.")
        return Letter("test", _("Taskyard: a test of its alerts"), f"{text}\n\n{_foot(by)}")


def _wrong(lines: Lines) -> tuple[str, list[str]]:
    """The subject, and what is told of each."""
    count = len(lines)
    several = ngettext("%(count)d thing is wrong", "%(count)d things are wrong", count) % {"count": count}
    return _first(lines[0][0]) if count == 1 else several, [f"{sentence}\n{since}" for sentence, since in lines]


def _over(lines: Lines) -> tuple[str, list[str]]:
    count = len(lines)
    one = _("over: %(what)s") % {"what": _first(lines[0][0])}
    several = ngettext("%(count)d thing is over", "%(count)d things are over", count) % {"count": count}
    words = _("Over: %(what)s")
    told = [f"{words % {'what': sentence}}\n{since}" for sentence, since in lines]
    return one if count == 1 else several, told


def _lines(causes: Sequence[Cause], at: datetime) -> Lines:
    """A sentence and its time for each; where every lane lacks a worker, that is one thing."""
    lanes = {f"lane {name}" for name in registry().pools}
    if len(lanes) > 1 and lanes <= {cause.name for cause in causes}:
        began = min(cause.began_at for cause in causes if cause.name in lanes)
        rest = [cause for cause in causes if cause.name not in lanes]
        return [(no_worker(), _since(began, at)), *((cause.sentence, _since(cause.began_at, at)) for cause in rest)]
    return [(cause.sentence, _since(cause.began_at, at)) for cause in causes]


def _since(began: datetime, at: datetime) -> str:
    length = short(max(at - began, timedelta()))
    return _("Since %(moment)s, for %(length)s.") % {"moment": _moment(began), "length": length}


def _again(timing: Timing, at: datetime) -> str:
    told = _("You hear when it is over; if it lasts, again at %(moment)s.")
    return told % {"moment": _moment(at + timing.window)}


def _until(timing: Timing) -> str:
    told = _("Should it come back, you hear of that, at most once in %(length)s.")
    return told % {"length": short(timing.window)}


def _foot(by: str) -> str:
    cure = _("What to do: manage.py status, and “Incidents” in docs/operations.md")
    told = _("Told by %(process)s, not through the pipeline.") % {"process": by}
    return f"{settings.SITE_URL}/admin/\n{cure}\n{told}"


def _moment(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "d M H:i T")


def _first(sentence: str) -> str:
    """Without the cure, which follows it."""
    return sentence.partition(". ")[0].rstrip(".")
