"""Questions with a deadline."""

import threading
import time

from routing.console.questions import Question


def test_an_answer_comes_with_its_time() -> None:
    answer = Question(lambda: 42, name="sum").answer(seconds=5)

    assert (answer.value, answer.error) == (42, None)
    assert 0 <= answer.seconds < 5


def test_an_error_is_an_answer_too() -> None:
    answer = Question(lambda: 1 / 0, name="sum").answer(seconds=5)

    assert isinstance(answer.error, ZeroDivisionError)


def test_nobody_waits_beyond_the_deadline() -> None:
    never = threading.Event()
    question = Question(never.wait, name="hung")

    began = time.monotonic()
    answer = question.answer(seconds=0.1)
    never.set()

    assert isinstance(answer.error, TimeoutError)
    assert time.monotonic() - began < 2


def test_many_who_ask_put_one_question() -> None:
    asked, go_on = [], threading.Event()

    def ask() -> int:
        asked.append(1)
        go_on.wait(60)
        return len(asked)

    question = Question(ask, name="slow")
    futures = [question.put() for _ in range(50)]
    go_on.set()

    assert {future.result(10).value for future in futures} == {1}
    assert question.answer(seconds=60).value == 2
