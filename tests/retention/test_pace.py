"""How many rows a batch looks at follows from how long the last one took."""

from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.ledger import audit, retention
from routing.ledger.cleanup_tables import Cleanup
from routing.ledger.retention import Pace
from routing.ledger.retention.pace import LEAST, MOST, TARGET
from tests.retention.old_rows import store_many


def test_a_slow_batch_is_followed_by_a_smaller_one_and_a_quick_one_by_one_half_as_large_again() -> None:
    pace = Pace(rows=1_000)

    pace.took(TARGET * 2)
    assert pace.rows == 500
    pace.took(TARGET / 100)
    assert pace.rows == 751


def test_it_stays_within_its_bounds() -> None:
    slow, quick = Pace(), Pace()
    for _ in range(50):
        slow.took(60)
        quick.took(0)

    assert (slow.rows, quick.rows) == (LEAST, MOST)


def test_the_least_has_no_limit_so_that_it_comes_to_an_end() -> None:
    pace = Pace()
    while pace.limit is not None:
        pace.took_too_long()

    assert pace.rows == LEAST


def test_a_rest_is_in_proportion() -> None:
    assert Pace(rest=2).took(0.3) == pytest.approx(0.6)


def test_each_kind_begins_anew() -> None:
    """Rows that stay are passed quickly, and say nothing of those that go."""
    pace = Pace(rows=100)
    pace.took(0.001)
    pace.begin()

    assert pace.rows == 100


class TimeIsUp(Pace):
    def took(self, seconds: float) -> float:
        if TaskResult.objects.count() < 5:
            raise SoftTimeLimitExceeded
        return 0


@pytest.mark.django_db
def test_a_time_limit_that_comes_between_loses_nothing() -> None:
    store_many(5, done_at=timezone.now() - timedelta(days=200))

    pruned = retention.prune(now=timezone.now(), pace=TimeIsUp(rows=2, most=2))

    assert (pruned.complete, pruned.removed.total(), TaskResult.objects.count()) == (False, 2, 3)
    assert not Cleanup.objects.get().complete
    assert audit.audit().balances
    assert retention.prune(now=timezone.now()).removed.total() == 3
