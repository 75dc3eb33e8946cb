"""What other programs send with a readable secret is sealed at the door, and where it is kept as a dead letter."""

import json
from dataclasses import replace
from typing import Any

import pytest
from kombu import Message as BrokerMessage

from routing.ledger import dead_messages, typed
from routing.ledger.dead_messages import DeadMessage
from routing.ledger.tables import DeadLetter
from routing.masking import MASK
from routing.sealed_messages import sealed_body
from routing.worker import door
from routing.worker.admission import envelope_of
from tests.sensitive import tasks  # noqa: F401  (registers them)
from tests.sensitive.evidence import CARD, assert_is_nowhere

TASK = "reporting.charge_note"
LINK = {"task": TASK, "args": ["x", CARD], "kwargs": {}, "options": {}, "immutable": True}
BODIES: list[Any] = [
    [["x", CARD], {}, None],
    [["x"], {"card": CARD}, {"callbacks": [LINK], "chain": None}],
    {"task": TASK, "id": "7", "args": ["x", CARD], "kwargs": None, "callbacks": [LINK]},
    {"task": TASK, "id": "7", "kwargs": {"card": CARD}},
]


def message(body: Any) -> BrokerMessage:
    headers = {"task": TASK, "id": "7", "argsrepr": CARD, "kwargsrepr": CARD} if isinstance(body, list) else {}
    return BrokerMessage(
        body=json.dumps(body),
        headers=headers,
        properties={},
        delivery_info={"routing_key": "reporting"},
        content_type="application/json",
        content_encoding="utf-8",
        accept=["application/json"],
    )


@pytest.mark.any_database
@pytest.mark.parametrize("body", BODIES)
def test_the_door_seals_what_the_worker_is_to_see_of_it(body: Any) -> None:
    given = message(body)

    visitor = door.examine(given)

    assert visitor is not None
    envelope = envelope_of(visitor.request)
    assert CARD not in f"{given.decode()}{given.headers}{envelope}"
    assert "taskyard_sealed" in envelope.body
    if isinstance(body, list):
        assert CARD not in str(given.body)


@pytest.mark.any_database
@pytest.mark.parametrize("body", [[CARD], [CARD, {}], [[], [CARD, 2]], [[], {}, CARD]])
def test_the_door_quotes_nothing_of_what_is_no_call(body: Any) -> None:
    with pytest.raises(door.Unfit) as unfit:
        door.examine(message(body))

    assert CARD not in str(unfit.value)


@pytest.mark.django_db
@pytest.mark.parametrize("body", BODIES)
def test_a_dead_letter_of_it_is_sealed(body: Any) -> None:
    dead = DeadMessage(
        task_id="7",
        task=TASK,
        epoch=None,
        domain="reporting",
        queue="reporting",
        headers=typed.dumps({"task": TASK, "argsrepr": CARD}),
        properties="{}",
        raw=json.dumps(body).encode(),
        reason="expired",
        error="It expired.",
        source="dead",
        delivery="1",
        redelivered=False,
    )
    assert dead_messages.keep(dead)

    letter = DeadLetter.objects.get()
    assert "taskyard_sealed" in letter.content.decode()
    assert json.loads(letter.headers)["argsrepr"] == MASK
    assert_is_nowhere()
    assert not dead_messages.keep(replace(dead, redelivered=True)), "it is known already"


@pytest.mark.any_database
@pytest.mark.parametrize("body", [b"\xff", b"[1", b'[["x"], {"a": 1}, null]', b"[[], {}, {}]  ", b"7", b'{"a": 1}'])
def test_bytes_without_a_secret_stay_as_they_are(body: bytes) -> None:
    assert sealed_body(TASK, body) == body


@pytest.mark.any_database
@pytest.mark.parametrize(
    "body", [[{}, {}], ["x", "y", "z"], {"args": 7, "kwargs": [1]}, [[], {}, {"chain": [{"task": TASK, "args": 7}]}]]
)
def test_what_is_no_call_is_not_an_error(body: Any) -> None:
    written = json.dumps(body).encode()

    assert sealed_body(TASK, written) == written
