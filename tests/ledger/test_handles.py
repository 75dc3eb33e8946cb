"""What a call returns is Celery's handle in all that anyone can see of it."""

import gc
import pickle
import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from celery.result import AsyncResult

from routing.handles import Handle
from routing.ledger.settle import store_aside
from tests.stored_results import SUCCESS


def test_a_handle_holds_what_celerys_own_holds_but_for_the_promise() -> None:
    backend = SimpleNamespace(remove_pending_result=lambda _: None)
    given: dict[str, Any] = {"backend": backend, "parent": AsyncResult("parent", app=current_app), "app": current_app}
    handle: AsyncResult[object] = current_app.AsyncResult("id", **given)
    celerys: AsyncResult[object] = AsyncResult("id", **given)

    assert isinstance(handle, Handle)
    assert vars(handle) == {name: value for name, value in vars(celerys).items() if name != "on_ready"}
    assert (handle, hash(handle)) == (celerys, hash(celerys))
    with pytest.raises(ValueError, match="needs a task's id"):
        current_app.AsyncResult(None)  # type: ignore[arg-type]


def test_a_handle_can_be_pickled() -> None:
    handle: AsyncResult[object] = current_app.AsyncResult("id", parent=current_app.AsyncResult("parent"))

    found = pickle.loads(pickle.dumps(handle))  # noqa: S301

    assert (type(found), found.id, found.parent.id) == (type(handle), "id", "parent")


@pytest.mark.django_db
@pytest.mark.parametrize("is_early", [True, False], ids=["before the outcome", "after it"])
def test_what_was_to_be_done_with_the_result_is_done(is_early: bool) -> None:
    handle: AsyncResult[object] = current_app.AsyncResult("id")
    seen: list[object] = []
    if is_early:
        handle.then(seen.append)
        assert handle.state == "PENDING"
        assert seen == []

    store_aside("id", replace(SUCCESS, result="5"), task="reporting.probe")
    assert handle.get() == 5
    if not is_early:
        handle.then(seen.append)

    assert len(seen) == 1
    assert seen[0] is handle


def test_whoever_no_longer_waits_leaves_nothing_to_the_collector_of_cycles() -> None:
    handle: AsyncResult[object] = current_app.AsyncResult("id")
    handle.then(print)
    is_there = weakref.ref(handle)

    gc.disable()
    try:
        del handle
        assert is_there() is None
    finally:
        gc.enable()
