"""``sensitive=`` names arguments that the task has, or the task does not come to exist."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from project import celery_app
from routing import sensitive
from routing.masking import MASK
from routing.refusals import WrongDeclaration
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import CARD

tasks: Any = typed_tasks
app: Any = celery_app


@pytest.fixture
def eager() -> Iterator[Celery]:
    before = celery_app.conf.task_always_eager
    celery_app.conf.task_always_eager = True
    yield celery_app
    celery_app.conf.task_always_eager = before


def none(order: str) -> None: ...
def any_name(order: str, **named: Any) -> None: ...
def hidden_behind(*args: Any, **named: Any) -> None: ...


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("run", "names", "words"),
    [
        (
            none,
            ("card",),
            "sensitive= names card, which it does not take. To cure it, name arguments that it has: order",
        ),
        (none, "order", r"sensitive='order' is no tuple of names. To cure it, write sensitive=\(\"card\",\)"),
        (none, (1,), "is no tuple of names"),
        (hidden_behind, ("card",), "functools.wraps"),
    ],
)
def test_a_wrong_declaration_tells_the_cure_and_leaves_no_task_behind(
    run: Callable[..., None], names: Any, words: str
) -> None:
    with pytest.raises(WrongDeclaration, match=words):
        app.task(name="reporting.wrong", sensitive=names)(run).name  # noqa: B018

    assert "reporting.wrong" not in app.tasks


@pytest.mark.any_database
def test_any_name_will_do_for_a_task_that_takes_any() -> None:
    read = sensitive.read("reporting.any", any_name, ("card",), bound=False)

    assert read is not None
    assert sensitive.hidden(read.sealed(("A-17",), {"card": CARD, "left": 1})[1]) == {"card": MASK, "left": 1}


@pytest.mark.any_database
def test_a_class_may_declare_them_and_the_place_does_not_count_self() -> None:
    class Charge(app.Task):
        name = "reporting.charge_class"
        sensitive = ("card",)

        def run(self, order: str, card: str) -> int:
            return len(card)

    assert Charge.secret is not None
    assert sensitive.hidden(Charge.secret.sealed(("A-17", CARD), {})[0]) == ["A-17", MASK]


@pytest.mark.any_database
def test_eager_mode_seals_and_opens_them_too(eager: Celery, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    assert tasks.charge.delay("A-17", CARD).get()["digits"] == len(CARD)
    assert (tasks.charge.s(CARD) | tasks.collect.s()).delay("A-17").get() == 4
    with pytest.raises(Exception, match="is declined") as declined:
        tasks.decline.delay(CARD).get()

    assert CARD not in f"{declined.value!r}{caplog.text}{[vars(record) for record in caplog.records]}"


@pytest.mark.any_database
def test_called_as_a_function_it_is_a_function() -> None:
    assert tasks.charge("A-17", CARD, pin=1)["said"] == f"paid with {CARD}"
