"""What a call returns is Celery's handle in all that anyone can see of it."""

import pickle

import pytest
from celery import current_app
from celery.result import AsyncResult

from routing.handles import Handle
from routing.ledger.settle import Outcome, store_aside

FIVE = Outcome(
    status="SUCCESS",
    result="5",
    traceback=None,
    meta='{"children": []}',
    args="[]",
    kwargs="{}",
    worker=None,
    periodic_task_name=None,
)


def test_a_handle_holds_what_celerys_own_holds_but_for_the_promise() -> None:
    handle: AsyncResult[object] = current_app.AsyncResult("id")
    celerys: AsyncResult[object] = AsyncResult("id", app=current_app)

    assert isinstance(handle, Handle)
    assert vars(handle).keys() | {"on_ready"} == vars(celerys).keys()
    assert {**vars(handle), "on_ready": celerys.on_ready} == vars(celerys)
    assert (handle, hash(handle)) == (celerys, hash(celerys))
    assert pickle.loads(pickle.dumps(handle)) == handle  # noqa: S301
    with pytest.raises(ValueError, match="needs a task's id"):
        current_app.AsyncResult(None)  # type: ignore[arg-type]


@pytest.mark.django_db
@pytest.mark.parametrize("is_early", [True, False], ids=["before the outcome", "after it"])
def test_what_was_to_be_done_with_the_result_is_done(is_early: bool) -> None:
    handle, seen = current_app.AsyncResult("id"), list[object]()
    if is_early:
        handle.then(seen.append)
        assert handle.state == "PENDING"
        assert seen == []

    store_aside("id", FIVE, task="reporting.probe")
    assert handle.get() == 5
    if not is_early:
        handle.then(seen.append)

    assert seen == [handle]
