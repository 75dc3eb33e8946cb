"""Behind a router whose reads go elsewhere: a replica may lag, and what is removed is judged where it is written."""

from typing import Any

import pytest
from django.core.management import call_command
from django_celery_results.models import TaskResult

from routing.ledger import retention
from tests.retention.test_command import NOW, domains, something_of_everything

__all__ = ["domains"]

pytestmark = pytest.mark.django_db


class ReadsElsewhere:
    """No such database: whoever reads there fails."""

    def db_for_read(self, model: Any, **_: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **_: Any) -> str:
        return "default"


def test_nothing_is_read_from_a_replica(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    something_of_everything()
    settings.DATABASE_ROUTERS = ["tests.retention.test_replicas.ReadsElsewhere"]

    foretold = retention.preview(now=NOW)
    pruned = retention.prune(now=NOW)
    retention.prune(now=NOW, whole=False)
    call_command("cleanup", "--history")

    assert foretold == pruned.removed
    assert foretold.total() > TaskResult.objects.using("default").count() > 0
    assert "results (reporting success)" in capsys.readouterr().out
