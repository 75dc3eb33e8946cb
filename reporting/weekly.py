"""The weekly report by its week."""

from collections.abc import Sequence
from datetime import datetime

from reporting import reports
from reporting.runs import ordering
from reporting.runs.ordering import Outcome
from reporting.weeks import Week

__all__ = ["Outcome", "send", "send_to"]


def send(week: Week, *, now: datetime) -> Outcome:
    return ordering.send_now(reports.named("weekly"), week, now=now)


def send_to(addresses: Sequence[str], week: Week, *, now: datetime) -> Outcome:
    return ordering.send_to(reports.named("weekly"), week, addresses, now=now)
