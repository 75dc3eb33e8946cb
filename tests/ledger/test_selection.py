"""Selections: what they mean, and that walking one takes each row once."""

from datetime import timedelta

import pytest
from celery import states
from django.utils import timezone

from routing.ledger import database
from routing.ledger.enqueue import REPLACED
from routing.ledger.selection import GROUPS, Selection, batches, summary
from routing.ledger.tables import Message
from tests.relay.ledger import ago, waiting
from tests.stored_results import store

pytestmark = pytest.mark.django_db

SOME = timedelta(hours=2)


def chosen(**fields: object) -> set[str]:
    return set(Selection(**fields).in_flight(at=database.now()).values_list("pk", flat=True))  # type: ignore[arg-type]


def one(**values: object) -> str:
    (message,) = waiting(publish=False, **values)  # type: ignore[arg-type]
    return message.pk


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("billing.charge", {"billing.charge"}),
        ("billing.*", {"billing.charge", "billing.refund"}),
        ("*.charge", {"billing.charge"}),
        ("b*.re*d", {"billing.refund"}),
        ("billing_*", set()),
        ("*", {"billing.charge", "billing.refund", "billingXcharge"}),
    ],
)
def test_a_task_is_named_whole_or_with_stars_that_stand_for_any_characters(pattern: str, meant: set[str]) -> None:
    for name in ("billing.charge", "billing.refund", "billingXcharge"):
        one(task=name)

    rows = Selection(task=pattern).in_flight(at=database.now())

    assert set(rows.values_list("task", flat=True)) == meant


def test_ages_count_from_the_databases_clock_and_both_ends_may_be_given() -> None:
    young, middle, old = (one(created_at=ago(hours=hours)) for hours in (1, 3, 5))

    assert chosen(older_than=SOME) == {middle, old}
    assert chosen(newer_than=SOME) == {young}
    assert chosen(older_than=SOME, newer_than=2 * SOME) == {middle}


def test_what_comes_after_the_moment_of_choosing_is_not_chosen() -> None:
    before, moment = one(created_at=ago(minutes=1)), database.now()
    one(created_at=timezone.now() + timedelta(minutes=1))

    assert list(Selection().in_flight(at=moment).values_list("pk", flat=True)) == [before]


def test_a_task_that_tells_of_its_progress_is_a_started_one() -> None:
    waits, runs, tells, replaced = (one(state=state) for state in (states.PENDING, states.STARTED, "SENDING", REPLACED))

    assert chosen(state=states.STARTED) == {runs, tells}
    assert chosen(state=states.PENDING) == {waits}
    assert chosen(state=REPLACED) == {replaced}


def test_an_error_is_found_by_a_part_of_it_in_either_case() -> None:
    failed = one(error="ConnectionError: mail.example.com said 50% [busy]")
    one(error="KeyError: 'name'")

    assert chosen(error="50% [BUSY]") == {failed}


def test_failed_results_are_found_by_what_the_settlement_wrote_of_them() -> None:
    now = timezone.now()
    store(task="reporting.probe", status=states.FAILURE, done_at=now, domain="reporting", queue="reporting")
    store(task="reporting.probe", status=states.SUCCESS, done_at=now, domain="reporting", queue="reporting")
    store(status=states.FAILURE, done_at=now, domain="notifications", queue="notifications.bulk")

    def count(**fields: str) -> int:
        return Selection(**fields).failures(at=database.now() + timedelta(seconds=1)).count()  # type: ignore[arg-type]

    assert (count(), count(domain="reporting"), count(queue="notifications.bulk")) == (2, 1, 1)
    assert (count(task="reporting.*"), count(domain="report")) == (1, 0)


def test_a_walk_takes_each_row_once_though_rows_leave_the_selection_on_the_way() -> None:
    for _ in range(7):
        one()
    rows, seen = Selection(state=states.PENDING).in_flight(at=database.now()), []

    for keys in batches(rows, size=3):
        assert len(keys) <= 3
        Message.objects.filter(pk__in=keys).update(state=states.RETRY)
        seen += keys

    assert len(seen) == len(set(seen)) == 7


def test_a_summary_names_the_largest_groups_and_counts_them_all() -> None:
    for number in range(GROUPS + 5):
        one(task=f"reporting.{number}")
    waiting(count=3, publish=False)

    found = summary(Selection().in_flight(at=database.now()), by=("task",))

    assert (found.total, found.groups[0].values, found.groups[0].count) == (GROUPS + 8, {"task": "reporting.probe"}, 3)
    assert found.unnamed == 6
