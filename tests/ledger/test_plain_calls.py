"""``delay``: what Celery makes of one call holds for the next, but for what differs from call to call."""

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import celery
import pydantic
import pytest
from celery import signals
from celery._state import _task_stack  # type: ignore[attr-defined]
from django.db import connection

from project import celery_app
from project.domains import DOMAINS
from routing import correlation
from routing.broker import repeated
from routing.domains import Registry
from routing.ledger.tables import Message, Outbox, Tally
from routing.refusals import NotSerialisable, PayloadTooLarge, SecretsInMap
from tests import probe as typed_probe
from tests.sensitive import tasks as secret_tasks

COMPARED = ("task", "domain", "queue", "body", "attempt", "at_most_once", "expires_at", "root_id", "parent_id")
probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def a_call_before() -> Iterator[None]:
    """That later ones can be made from; what other tests left behind is no part of it."""
    repeated._of_tasks.clear()
    probe.add.delay(0, 0)
    yield
    repeated._of_tasks.clear()


@pytest.fixture
def only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's own way is closed."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("this went Celery's own way")

    monkeypatch.setattr(celery.Celery, "send_task", refuse)


@pytest.fixture
def celerys_way(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that went Celery's own way."""
    went, send = [], celery.Celery.send_task

    def watched(app: Any, name: str, *args: Any, **options: Any) -> Any:
        went.append(name)
        return send(app, name, *args, **options)

    monkeypatch.setattr(celery.Celery, "send_task", watched)
    return went


def row(result: Any) -> dict[str, Any]:
    """Without its id, by which two calls differ anyway."""
    found = Message.objects.filter(pk=result.id).values(*COMPARED, "headers", "properties").get()
    own = {name: value.replace(result.id, "ID") if isinstance(value, str) else value for name, value in found.items()}
    return {**own, **{name: json.loads(own[name]) for name in ("body", "headers", "properties")}}


def by_celery(*args: Any, **kwargs: Any) -> Any:
    """The same call with an option that says what holds anyway."""
    return probe.add.apply_async(args, kwargs, add_to_parent=True)


CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "positional": ((1, 2), {}),
    "named": ((), {"first": 1, "second": None}),
    "both, and long": (("ä☂" * 3000,), {"second": ['"', "\\", "\n"]}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_is_made_from_the_one_before_as_celery_would_make_it(
    call: tuple[tuple[Any, ...], dict[str, Any]], celerys_way: list[str]
) -> None:
    args, kwargs = call
    quick = probe.add.delay(*args, **kwargs)
    assert not celerys_way

    slow = by_celery(*args, **kwargs)

    assert celerys_way == ["reporting.probe_add"]
    assert row(quick) == row(slow)
    assert (type(quick), quick.ignored, quick.backend) == (type(slow), slow.ignored, slow.backend)
    assert Outbox.objects.filter(message_id=quick.id).count() == 1
    assert sum(Tally.objects.values_list("accepted", flat=True)) == 3


@pytest.mark.usefixtures("only_once")
def test_each_call_tells_of_the_request_it_comes_from() -> None:
    def told(result: Any) -> Any:
        return row(result)["headers"].get(correlation.HEADER)

    before = probe.add.delay(1, 2)
    try:
        correlation.begin_request("first")
        first = probe.add.delay(1, 2)
        correlation.begin_request("second")
        second = probe.add.delay(1, 2)
    finally:
        correlation.end_request()

    assert [told(one) for one in (before, first, second, probe.add.delay(1, 2))] == [None, "first", "second", None]


@pytest.mark.usefixtures("only_once")
def test_each_call_names_its_own_thread() -> None:
    found: dict[str, Any] = {}

    def call() -> None:
        found["result"], found["thread"] = probe.add.delay(1, 2), celery_app.thread_oid
        connection.close()

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert row(found["result"])["properties"]["reply_to"] == found["thread"] != celery_app.thread_oid


def test_a_process_that_was_forked_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 4711)

    assert row(probe.add.delay(1, 2))["headers"]["origin"].startswith("gen4711@")


def test_a_declaration_that_has_changed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.add, "queue", "maintenance", raising=False)
    monkeypatch.setattr(probe.add, "_exec_options", None)
    monkeypatch.setattr(probe.add, "ignore_result", True)

    for _ in range(2):
        result = probe.add.delay(1, 2)
        assert row(result)["queue"] == row(result)["domain"] == "maintenance"
        assert result.ignored


def test_other_domains_count(monkeypatch: pytest.MonkeyPatch) -> None:
    (template,) = repeated._of_tasks.values()
    moved = Registry(tuple(one for one in DOMAINS if one.name != "reporting"))
    monkeypatch.setattr(repeated, "registry", lambda: moved)

    assert not template.holds(probe.add._get_current_object())


def test_whoever_wants_to_see_each_message_sees_it() -> None:
    seen: list[str] = []

    def look(headers: dict[str, Any], **_: Any) -> None:
        seen.append(headers["id"])
        headers["tenant"] = "a"

    signals.before_task_publish.connect(look)
    try:
        result = probe.add.delay(1, 2)
    finally:
        signals.before_task_publish.disconnect(look)

    assert seen == [result.id]
    assert row(result)["headers"]["tenant"] == "a"
    assert "tenant" not in row(probe.add.delay(1, 2))["headers"]


def test_a_task_that_calls_is_its_parent() -> None:
    parent, root = str(uuid4()), str(uuid4())
    probe.add.push_request(id=parent, root_id=root, called_directly=False, children=[])
    _task_stack.push(probe.add)
    try:
        results = [probe.add.delay(1, 2), probe.add.delay(1, 2)]
        children = list(probe.add.request.children)
    finally:
        _task_stack.pop()
        probe.add.pop_request()

    assert {(row(one)["parent_id"], row(one)["root_id"]) for one in results} == {(parent, root)}
    assert [one.id for one in children] == [one.id for one in results]
    assert row(probe.add.delay(1, 2))["parent_id"] is None


@contextmanager
def routes(given: list[Any]) -> Iterator[None]:
    amqp: Any = celery_app.amqp

    def take(these: Any) -> None:
        celery_app.conf.task_routes = these
        amqp._rtable = None
        vars(amqp).pop("router", None)

    before = celery_app.conf.task_routes
    take(given)
    try:
        yield
    finally:
        take(before)


def test_routes_that_look_at_the_arguments_are_asked_each_time() -> None:
    def by_arguments(_name: str, args: Any, *_: Any, **__: Any) -> dict[str, str]:
        return {"queue": ("maintenance", "reporting")[args[0]]}

    with routes([by_arguments]):
        found = [row(probe.add.delay(number, 2))["queue"] for number in (0, 1, 0)]

    assert found == ["maintenance", "reporting", "maintenance"]
    assert row(probe.add.delay(0, 2))["queue"] == "reporting"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: probe.add.delay(1), TypeError),
        (lambda: probe.add.delay(1, 2, third=3), TypeError),
        (lambda: probe.add.delay(1, object()), NotSerialisable),
        (lambda: probe.add.delay(1, "x" * 20_000_000), PayloadTooLarge),
    ],
)
def test_what_cannot_be_sent_is_refused(
    call: Callable[[], object], error: type[Exception], celerys_way: list[str]
) -> None:
    with pytest.raises(error):
        call()

    assert not celerys_way
    assert Message.objects.count() == 1


class Wrapped:
    """As what watches programs wraps Celery's own ``apply_async``."""

    def __init__(self) -> None:
        self.number, self._own = 0, celery.Task.apply_async

    def __call__(self) -> Callable[..., Any]:
        def apply_async(task: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            self.number += 1
            return self._own(task, args, kwargs, **{**options, "headers": {"trace": f"trace-{self.number}"}})

        return apply_async


def test_whatever_wraps_celerys_own_call_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery.Task, "apply_async", Wrapped()())

    found = [row(probe.add.delay(1, 2))["headers"]["trace"] for _ in range(3)]

    assert found == ["trace-1", "trace-2", "trace-3"]


def test_headers_that_somebody_else_adds_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    send, numbers = celery.Celery.send_task, itertools.count(1)

    def adding(app: Any, *args: Any, **options: Any) -> Any:
        return send(app, *args, **{**options, "headers": {"tenant": next(numbers)}})

    monkeypatch.setattr(celery.Celery, "send_task", adding)
    repeated._of_tasks.clear()

    assert [row(probe.add.delay(1, 2))["headers"]["tenant"] for _ in range(3)] == [1, 2, 3]


class Odd:
    """An argument that is a number to JSON, and to people what they make of it."""

    def __init__(self, shown: str | None) -> None:
        self._shown = shown

    def __json__(self) -> int:
        return 7

    def __repr__(self) -> str:
        if self._shown is None:
            raise ValueError("nothing to show")
        return self._shown


@pytest.mark.parametrize("shown", ["x" * 200_000, None])
def test_what_shows_itself_badly_is_shown_as_celery_shows_it(shown: str | None) -> None:
    quick, slow = probe.add.delay(1, Odd(shown)), by_celery(1, Odd(shown))

    assert len(row(quick)["headers"]["argsrepr"]) < 2_000
    assert row(quick)["headers"]["argsrepr"][:30] == row(slow)["headers"]["argsrepr"][:30]


def test_models_are_written_out_each_time() -> None:
    class Order(pydantic.BaseModel):
        number: int

    @celery_app.task(name="reporting.probe_model", pydantic=True, shared=False)
    def take(order: Order) -> int:
        return order.number

    try:
        results = [take.delay(Order(number=number)) for number in (1, 2)]
        results += take.enqueue_many([(Order(number=number),) for number in (3, 4)])  # type: ignore[attr-defined]
    finally:
        celery_app.tasks.pop("reporting.probe_model")

    assert [row(one)["body"][0] for one in results] == [[{"number": number}] for number in (1, 2, 3, 4)]


def test_nothing_of_the_first_call_is_kept() -> None:
    repeated._of_tasks.clear()
    probe.add.delay("a secret of the first", 2)

    (template,) = repeated._of_tasks.values()
    assert "a secret of the first" not in repr(vars(template))


def test_each_thread_has_a_backend_of_its_own() -> None:
    found: list[bool] = []

    def call() -> None:
        found.append(probe.add.delay(1, 2).backend is celery_app.backend)
        connection.close()

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert found == [True]


def test_many_maps_are_each_looked_into_for_secrets() -> None:
    harmless = {"task": probe.add.s(), "it": [[1, 2]]}
    secret = {"task": secret_tasks.note.s(), "it": [["x", "4000 1234 5678 9010"]]}

    with pytest.raises(SecretsInMap):
        celery_app.enqueue_many("celery.starmap", [harmless, secret])

    assert Message.objects.count() == 1
