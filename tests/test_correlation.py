"""What lines of the log tell of the task and the request that they belong to."""

import json
import logging
from collections.abc import Iterator
from logging.config import DictConfigurator
from typing import Any

import pytest
from django.test import Client

from project import logs
from routing import correlation
from routing.broker import batch_told
from routing.ledger.outbox import Batch, Publication
from routing.ledger.tables import Message
from routing.pytest_plugin import Taskyard
from tests import probe as typed_probe
from tests.api_client import Api, new_token
from tests.inline import deliver, worker
from tests.request_ids import answering

probe: Any = typed_probe
"""Celery's stubs know none of our options."""

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

BELONGING = ("task", "task_id", "domain", "lane", "root_id", "request_id")


class Lines(logging.Handler):
    """Everything logged, as the JSON that LOG_FORMAT=json writes."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        declared = logs.config(fmt="json", level="DEBUG")["formatters"]["line"]
        self.formatter = DictConfigurator({}).configure_formatter(declared)
        self.found: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(json.loads(self.format(record)))

    def saying(self, words: str) -> dict[str, Any]:
        """What the one line with these words tells of where it belongs."""
        (line,) = [line for line in self.found if words in line["event"]]
        return {name: line[name] for name in BELONGING if name in line}


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, root = Lines(), logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


def sent_headers() -> dict[str, Any]:
    return dict(json.loads(Message.objects.get().headers))


def test_a_line_of_a_task_tells_its_tree_and_the_request_at_its_beginning(lines: Lines, taskyard: Taskyard) -> None:
    with answering("checkout-7"):
        first = probe.say.apply_async(("the first",), link=probe.say.si("the second"), queue="reporting")

    taskyard.drain()

    told = lines.saying("the second")
    assert told.pop("task_id") != first.id
    assert told == {
        "task": "reporting.probe_say",
        "domain": "reporting",
        "lane": "default",
        "root_id": first.id,
        "request_id": "checkout-7",
    }


def test_what_no_request_enqueued_has_no_request(lines: Lines, taskyard: Taskyard) -> None:
    probe.say.delay("by beat")

    taskyard.drain()

    assert "request_id" not in lines.saying("by beat")


def test_before_and_after_a_task_a_line_names_none(lines: Lines, taskyard: Taskyard) -> None:
    probe.say.delay("within")

    taskyard.drain()
    logging.getLogger("tests").warning("afterwards")

    assert lines.saying("within")["task"] == "reporting.probe_say"
    assert lines.saying("afterwards") == {}


def test_a_task_called_within_another_gives_the_line_back_to_it() -> None:
    outer = correlation.Work("reporting.outer", "1", "1", "reporting", None)

    with correlation.at(outer):
        probe.say.apply(("inner",))

        assert correlation.work() == outer


def test_what_a_program_enqueues_over_the_api_carries_its_requests_id() -> None:
    api = Api(new_token("notifications:send"))

    letter = {"to": ["ann@example.org"], "subject": "Hello", "text": "It works."}
    answer = api.post("notifications", letter, x_request_id="shop-42")

    assert answer.status_code == 202, answer.json()
    assert answer["X-Request-ID"] == "shop-42"
    assert sent_headers()[correlation.HEADER] == "shop-42"


@pytest.mark.parametrize("given", ["", "two words", 'a"b', "line\nend", "x" * 65])
def test_an_id_that_could_forge_a_line_is_not_taken(client: Client, given: str) -> None:
    answer = client.get("/health/live", headers={"x-request-id": given})

    assert len(answer["X-Request-ID"]) == 32
    assert answer["X-Request-ID"].isalnum()


@pytest.mark.parametrize("given", [{"an": "object"}, 7, "two words"])
def test_an_id_that_another_program_made_up_is_not_taken(lines: Lines, given: object) -> None:
    probe.say.delay("foreign")

    with worker():
        deliver(Message.objects.get(), **{correlation.HEADER: given})

    assert "request_id" not in lines.saying("foreign")


def test_what_django_says_of_a_request_has_its_id(client: Client, lines: Lines) -> None:
    client.get("/nothing-here/", headers={"x-request-id": "lost-1"})

    assert lines.saying("Not Found: /nothing-here/") == {"request_id": "lost-1"}
    assert correlation.request_id() is None


def test_a_relays_lines_name_the_tasks_that_go_back_and_those_that_went_out(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    batch = Batch("notifications.urgent", [publication(1), publication(2)], [], False, {1: "Too long."})

    with caplog.at_level(logging.DEBUG, logger="routing.broker.relay"):
        batch_told.tell(batch)

    assert lines.saying("1 of 2 for notifications.urgent go back") == {"domain": "notifications", "lane": "urgent"}
    assert next(line for line in lines.found if "go back" in line["event"])["task_ids"] == ["task-1"]
    assert lines.saying("is published") == {
        "task": "notifications.deliver",
        "task_id": "task-2",
        "domain": "notifications",
        "lane": "urgent",
        "root_id": "root-2",
        "request_id": "shop-2",
    }


def test_at_level_debug_a_caller_tells_what_it_enqueued(lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="routing.broker.sending"), answering("checkout-7"):
        result = probe.say.delay("later")

    told = lines.saying(f"reporting.probe_say[{result.id}] is enqueued")
    assert (told["root_id"], told["request_id"]) == (result.id, "checkout-7")


def publication(number: int) -> Publication:
    headers = {"task": "notifications.deliver", "root_id": f"root-{number}", correlation.HEADER: f"shop-{number}"}
    return Publication(
        id=number,
        message_id=f"task-{number}",
        epoch=1,
        queue="notifications.urgent",
        failures=0,
        attempt=1,
        headers=json.dumps(headers),
        properties="{}",
        body="[]",
    )
