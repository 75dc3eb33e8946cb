"""Messages of the ledger's that it does not know any more: kept, and each once."""

from functools import partial
from typing import Any

import pytest

from routing.ledger import adoption
from routing.ledger.tables import DeadLetter
from tests import probe as typed_probe
from tests.ledger.test_cancel import together
from tests.ledger.test_verbs import envelope

probe: Any = typed_probe
pytestmark = pytest.mark.django_db(transaction=True)


def test_workers_that_each_have_a_copy_keep_it_once() -> None:
    task_id = probe.add.delay(1, 2).id

    for number in range(20):
        unknown = envelope(task_id, id=f"unknown {number}")
        together(*[partial(adoption.keep_unknown, unknown)] * 3)

    assert DeadLetter.objects.filter(reason="lost").count() == 20
