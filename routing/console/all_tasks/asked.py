"""What an address of the list asks for; or what is wrong with it, with the cure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from routing.console import rights
from routing.console.all_tasks.merging import Spot
from routing.console.places import AFTER, BEFORE
from routing.console.searching.terms import NO_DOMAIN, Mistake
from routing.domains import registry

CREATED, FINISHED = "created", "finished"
FROM, TO, BY, DUE, DOMAIN = "from", "to", "by", "due", "domain"
KNOWN = (FROM, TO, BY, DUE, DOMAIN, BEFORE, AFTER)
SHORTEST = timedelta(days=1)
"""What is shown where no time is asked for: the last day."""


@dataclass(frozen=True)
class Asked:
    """``domains`` None: all; ``limits``: those that the user may see, None for all.

    ``by`` creation: what was created from ``begin`` on and before ``end``, either of which may be open. By the finish:
    what finished then, and what has not finished; where ``due`` is given, only if it was created and due before that.
    """

    begin: datetime | None
    end: datetime | None
    by: str = CREATED
    due: datetime | None = None
    domains: tuple[str, ...] | None = None
    limits: frozenset[str] | None = None
    spot: Spot | None = None
    towards_older: bool = True


def read(given: QueryDict, *, user: Any, now: datetime) -> tuple[Asked, list[Mistake]]:
    """Where there are mistakes, nothing must be shown."""
    mistakes = [*_unknown(given), *_wrong_choice(given), *_wrong_domains(given, user)]
    begin, end, due = (_moment(given, name, mistakes) for name in (FROM, TO, DUE))
    spot = _spot(given, mistakes)
    by = given.get(BY) or CREATED
    if by == FINISHED and not mistakes and (begin is None or end is None):
        cure = _("Give both, such as from=2026-11-09&to=2026-11-16.")
        mistakes.append(Mistake("by=finished", _("It needs a beginning and an end."), cure))
    if begin is not None and end is not None and begin >= end:
        mistakes.append(Mistake(f"to={given[TO]}", _("It is not after the beginning."), _("Exchange the two.")))
    if begin is None and end is None:
        begin = (now - SHORTEST).replace(second=0, microsecond=0)
    domains = tuple(dict.fromkeys(filter(None, given.getlist(DOMAIN)))) or None
    asked = Asked(begin, end, by, due, domains, rights.domains_of(user), spot, AFTER not in given)
    return asked, mistakes


def known_domains(user: Any) -> dict[str, str]:
    """Those that may be asked for, and their titles."""
    limits = rights.domains_of(user)
    found = {each.name: each.title for each in registry() if limits is None or each.name in limits}
    return found if limits is not None else {**found, NO_DOMAIN: _("None (no domain claims it)")}


def _unknown(given: QueryDict) -> Iterator[Mistake]:
    for name in given:
        if name not in KNOWN:
            cure = _("It knows %(names)s.") % {"names": ", ".join(KNOWN)}
            yield Mistake(name[:40], _("The page knows no such name."), cure)


def _wrong_choice(given: QueryDict) -> Iterator[Mistake]:
    by = given.get(BY) or CREATED
    if by not in (CREATED, FINISHED):
        yield Mistake(f"by={by[:40]}", _("There is no such choice."), _("Write by=created or by=finished."))
    elif given.get(DUE) and by != FINISHED:
        yield Mistake("due", _("It narrows what has not finished."), _("Add by=finished, or leave it out."))


def _wrong_domains(given: QueryDict, user: Any) -> Iterator[Mistake]:
    known = known_domains(user)
    for name in filter(None, given.getlist(DOMAIN)):
        if name not in known:
            problem = _("There is no such domain, or you may not see its tasks.")
            yield Mistake(f"domain={name[:40]}", problem, _("You may see %(names)s.") % {"names": ", ".join(known)})


def _moment(given: QueryDict, name: str, mistakes: list[Mistake]) -> datetime | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    try:
        return _aware(text)
    except (ValueError, OverflowError):
        cure = _("Write a day or a moment, such as 2026-11-09, 2026-11-09T14:30 or 2026-11-09T14:30:00+00:00.")
        mistakes.append(Mistake(f"{name}={text[:40]}", _("It is no time."), cure))
        return None


def _aware(text: str) -> datetime:
    """Without a zone, by the site's clock. Raises ValueError or OverflowError."""
    day = parse_date(text)
    moment = datetime.combine(day, time()) if day else parse_datetime(text)
    if moment is None:
        raise ValueError(text)
    aware = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
    # The first and last days that Python knows are beyond them in some time zones.
    _ = (aware - timedelta(days=2), aware + timedelta(days=2))
    return aware


def _spot(given: QueryDict, mistakes: list[Mistake]) -> Spot | None:
    for name in (AFTER, BEFORE):
        if (text := given.get(name)) is not None:
            if (spot := Spot.read(text)) is None:
                problem, cure = _("The address names no place in the list."), _("Leave it out to begin at the newest.")
                mistakes.append(Mistake(f"{name}={text[:40]}", problem, cure))
            return spot
    return None
