"""Subscriptions as people read them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from reporting import reports
from reporting.subscribing.slots import is_of_a_week
from reporting.subscribing.tables import Subscription, Weekday


@dataclass(frozen=True)
class Line:
    """``deeds`` are those open to its owner, with what their buttons say."""

    row: Subscription
    title: str
    when: str
    about: str
    state: str
    deeds: list[tuple[str, str]]


def lines(found: Iterable[Subscription]) -> list[Line]:
    return [Line(one, title(one), when(one), about(one), state(one), _deeds(one)) for one in found]


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
    return one.domains.replace(",", ", ") or _("all domains")


def state(one: Subscription) -> str:
    if one.ended_at:
        return _("unsubscribed")
    return _("paused") if one.paused_at else _("active")


def _deeds(one: Subscription) -> list[tuple[str, str]]:
    end = ("end", _("Unsubscribe"))
    if one.ended_at:
        return [("take_up", _("Subscribe again"))]
    return [("resume", _("Resume")), end] if one.paused_at else [("pause", _("Pause")), end]
