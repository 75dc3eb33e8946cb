"""Subscriptions as people read them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from reporting import forms, reports
from reporting.subscribing.objections import Objection
from reporting.subscribing.slots import is_of_a_week
from reporting.subscribing.tables import Subscription, Weekday
from reporting.wording import listed


@dataclass(frozen=True)
class Line:
    """``deeds`` are those open to its owner, with what their buttons say."""

    row: Subscription
    title: str
    when: str
    about: str
    state: str
    kind: str
    deeds: list[tuple[str, str]]


def lines(found: Iterable[Subscription], *, objection: Objection | None) -> list[Line]:
    """Of one person, who may be sent nothing at all."""
    return [
        Line(
            one,
            title(one),
            when(one),
            about(one),
            state(one, objection),
            kind(one, objection),
            _deeds(one, objection),
        )
        for one in found
    ]


def title(one: Subscription) -> str:
    report = reports.reports().get(one.report)
    return str(report.title) if report else one.report


def when(one: Subscription) -> str:
    """Such as “Monday, 09:00, Europe/Berlin”."""
    report = reports.reports().get(one.report)
    daily = report is not None and not is_of_a_week(report.period_of(timezone.now()))
    day = _("every day") if daily else str(Weekday(one.weekday).label)
    return f"{day}, {one.hour:02}:00, {one.time_zone}"


def about(one: Subscription) -> str:
    """Such as “all domains, with PDF”."""
    domains = one.domains.replace(",", ", ") or _("all domains")
    titles = forms.titles(one.attached)
    return _("%(domains)s, with %(files)s") % {"domains": domains, "files": listed(titles)} if titles else domains


def kind(one: Subscription, objection: Objection | None) -> str:
    if one.ended_at:
        return "ended"
    if objection:
        return "refused" if objection.is_their_own else "held"
    return "paused" if one.paused_at else "active"


def state(one: Subscription, objection: Objection | None) -> str:
    return {
        "ended": _("unsubscribed"),
        "refused": _("not sent"),
        "held": _("not sent"),
        "paused": _("paused"),
        "active": _("active"),
    }[kind(one, objection)]


def _deeds(one: Subscription, objection: Objection | None) -> list[tuple[str, str]]:
    end = ("end", _("Unsubscribe"))
    if one.ended_at:
        # Who wants no reports at all takes that back first.
        return [] if objection else [("take_up", _("Subscribe again"))]
    if objection:
        return [end]
    return [("resume", _("Resume")), end] if one.paused_at else [("pause", _("Pause")), end]
