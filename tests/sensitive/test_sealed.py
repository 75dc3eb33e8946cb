"""Secret arguments reach the body, and nothing that is kept or travels says them."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from django.core.management import call_command
from django_celery_results.models import TaskResult

from project import celery_app
from routing import sensitive
from routing.ledger import audit
from routing.ledger.tables import DeadLetter, Message, UniqueKey
from routing.masking import MASK
from routing.refusals import NotSerialisable, SecretsInMap
from tests.inline import drain, worker
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import CARD, PIN, assert_is_nowhere

tasks: Any = typed_tasks
"""Celery's stubs know none of our options."""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing said it, in any test."""
    caplog.set_level(logging.DEBUG)
    with worker():
        yield
    assert audit.audit().balances
    assert_is_nowhere(caplog.text, *(str(vars(record)) for record in caplog.records))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "noted"


def result(handle: Any) -> TaskResult:
    return TaskResult.objects.get(task_id=handle.id)


def test_the_body_gets_them_and_its_value_is_told_without_them() -> None:
    handle = tasks.charge.delay("A-17", CARD, pin=PIN)
    message = Message.objects.get()
    assert_is_nowhere()
    assert json.loads(message.headers)["argsrepr"] == f"['A-17', '{MASK}']"
    assert json.loads(message.headers)["kwargsrepr"] == f"{{'pin': '{MASK}'}}"

    drain()

    told = json.loads(result(handle).result or "")
    assert told == {"order": "A-17", "digits": len(CARD), "said": f"paid with {MASK}", "pin": MASK}
    assert sensitive.is_sealed(json.loads(result(handle).task_args or "")[1])


def test_a_value_arrives_as_json_would_have_brought_it_and_none_stays_none(path: Path) -> None:
    for value in ({"number": CARD, "pins": [PIN, 2.5]}, None, True, "größer"):
        tasks.note.delay(str(path), card=value)
    assert [json.loads(one.body)[1]["card"] is None for one in Message.objects.order_by("created_at")].count(True) == 1

    drain()

    assert path.read_text().splitlines() == [repr({"number": CARD, "pins": [PIN, 2.5]}), "None", "True", "'größer'"]


def test_retry_failure_dead_letter_and_replay_keep_it_sealed() -> None:
    handle = tasks.decline.delay(CARD)
    drain()

    letter, row = DeadLetter.objects.get(), result(handle)
    assert letter.error is not None
    assert f"PermanentError: ('{MASK} is declined', {{'card': '{MASK}'}})" in letter.error
    assert f"KeyError: '{MASK}'" in (row.traceback or ""), "its cause"
    assert f"Ask the owner of {MASK}" in (row.traceback or ""), "its note"
    assert json.loads(row.result or "")["exc_type"] == "PermanentError", "it is of the same kind as before"
    assert sensitive.is_sealed(json.loads(letter.body)[0][0])
    assert_is_nowhere()

    call_command("dead_letters", "replay", handle.id, "--yes", verbosity=0)
    assert sensitive.is_sealed(json.loads(Message.objects.get().body)[0][0])
    drain()

    assert DeadLetter.objects.filter(state=DeadLetter.State.OPEN).count() == 1, "it was declined again"


def test_what_follows_a_task_keeps_it_sealed_and_gets_it_opened(path: Path) -> None:
    by_place = tasks.note_last.s(str(path), CARD)
    by_name = tasks.note_last.s(path=str(path), card=CARD)
    alone = tasks.note.si(str(path), CARD)

    chain(tasks.charge.s("A-17", CARD), by_place, alone, by_name).apply_async(link_error=tasks.note.si("x", CARD))
    assert_is_nowhere()
    drain()
    chord(group(tasks.note.s(str(path), CARD), alone), tasks.note_last.s(str(path), card=CARD)).delay()
    assert_is_nowhere()
    drain()
    tasks.collect.apply_async(([],), link=[alone, group(alone, chain(alone, by_place))])
    assert_is_nowhere()
    drain()

    assert path.read_text().splitlines() == [repr(CARD)] * 10
    assert alone.args == (str(path), CARD), "the caller's own signature is as it was"


def test_many_at_once_are_sealed_each(path: Path) -> None:
    tasks.note.enqueue_many([(str(path), CARD), {"path": str(path), "card": CARD}, (str(path), "other-marker")])
    assert_is_nowhere()
    headers = [json.loads(one.headers) for one in Message.objects.all()]
    assert all(MASK in f"{one['argsrepr']}{one['kwargsrepr']}" for one in headers)

    drain()

    assert path.read_text().splitlines() == [repr(CARD)] * 2 + ["'other-marker'"]


def test_it_is_sealed_by_its_name_alone_and_where_nobody_knows_the_module(path: Path) -> None:
    celery_app.send_task("reporting.charge_note", (str(path),), {"card": CARD})
    assert_is_nowhere()
    drain()

    assert path.read_text().splitlines() == [repr(CARD)]


def test_a_unique_key_tells_two_apart_and_says_neither() -> None:
    first, same = tasks.charge_once.delay("A-17", CARD), tasks.charge_once.delay("A-17", card=CARD)
    other = tasks.charge_once.delay("A-17", "another card")
    by_hand = tasks.charge.apply_async(("A-17", CARD), unique_key=f"mine {CARD}")
    assert first.id == same.id
    assert len({first.id, other.id, by_hand.id}) == 3

    keys = [key.key for key in UniqueKey.objects.order_by("key")]
    assert any(key.startswith("reporting.charge_once:order='A-17',card=") for key in keys)
    assert_is_nowhere()


def test_what_cannot_be_sealed_is_refused_without_quoting_it() -> None:
    class Card:
        def __repr__(self) -> str:
            return CARD

    with pytest.raises(NotSerialisable) as refused:
        tasks.charge.delay("A-17", Card())
    assert CARD not in str(refused.value)

    with pytest.raises(SecretsInMap, match="enqueue_many"):
        tasks.note.starmap([("x", CARD)]).delay()
    assert not Message.objects.exists()
