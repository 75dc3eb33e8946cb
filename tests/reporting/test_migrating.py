"""Recipients of the release before are subscribers of this one, and its reports are kept."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from reporting.models import ReportDelivery, ReportRun, Subscription

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [("reporting", "0002_rollups")]


@pytest.fixture
def old() -> Iterator[Any]:
    """The tables as they were."""
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    call_command("migrate", "reporting", verbosity=0)


def test_recipients_are_subscribed_and_what_was_sent_is_kept(old: Any) -> None:
    recipient, run = old.get_model("reporting", "Recipient"), old.get_model("reporting", "ReportRun")
    recipient.objects.create(email="Ann@example.com", name="Ann")
    recipient.objects.create(email="bob@example.com", active=False)
    kept = run.objects.create(period="2026-W45", state="sent", figures={"week": "2026-W45"})
    delivery = old.get_model("reporting", "ReportDelivery")
    delivery.objects.create(run=kept, address="Ann@example.com", enqueued_at=kept.built_at)
    delivery.objects.create(run=kept, address="not@enqueued.example")

    # As far as today's models are.
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("reporting"))

    ann, bob = Subscription.objects.order_by("pk")
    assert (str(ann), ann.report, ann.weekday, ann.hour, ann.time_zone) == (
        "Ann <Ann@example.com>",
        "weekly",
        0,
        9,
        "UTC",
    )
    assert (ann.is_active, bob.is_active) == (True, False)
    found = ReportRun.objects.get()
    assert (found.report, found.period, found.figures, found.progress) == (
        "weekly",
        "2026-W45",
        {"week": "2026-W45"},
        100,
    )
    assert [row.address for row in ReportDelivery.objects.all()] == ["Ann@example.com"]
