"""Tasks that were not started in time."""

import pytest
from django.db import connection
from django_celery_results.models import TaskResult

from routing.broker import expiry
from routing.ledger.tables import Message
from tests.relay.ledger import ago, held, living_process, waiting

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_past_its_time_is_revoked() -> None:
    (late,) = waiting(expires_at=ago(seconds=1))
    waiting(expires_at=ago(hours=-1))
    waiting()

    assert expiry.sweep() == 1

    result = TaskResult.objects.get()
    assert (result.task_id, result.status) == (late.pk, "REVOKED")
    assert '"reason": "expired"' in str(result.meta)
    assert Message.objects.count() == 2


def test_what_has_started_or_was_replaced_by_a_chain_no_longer_expires() -> None:
    waiting(expires_at=ago(seconds=1), owner=living_process().pk, state="STARTED")
    waiting(expires_at=ago(seconds=1), state="REPLACED")

    assert expiry.sweep() == 0

    assert Message.objects.count() == 2


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no locks on rows")
def test_what_somebody_holds_keeps_no_other_from_expiring() -> None:
    (kept,), _ = waiting(expires_at=ago(seconds=9)), waiting(expires_at=ago(seconds=1))

    with held(kept):
        assert expiry.sweep() == 1
    assert connection.vendor == "postgresql"

    assert expiry.sweep() == 1


def test_tasks_that_cannot_be_settled_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH", 2)
    waiting(count=3, expires_at=ago(seconds=9), headers="no JSON")
    waiting(count=3, expires_at=ago(seconds=1))

    assert expiry.sweep() == 3

    assert Message.objects.count() == 3
