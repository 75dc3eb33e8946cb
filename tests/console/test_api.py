"""The HTTP API as programs use it: with a token, JSON in and out, and every error a problem with its cure."""

import time
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from celery import states
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from routing.console.tokens import ApiToken
from routing.ledger.tables import Message
from tests.api_client import Api, new_token
from tests.api_client import assert_problem as _assert_problem
from tests.console import specimens
from tests.console.specimens import REFUSED, URGENT, result
from tests.dead_broker import absent_broker, silent_broker

__all__ = ["absent_broker", "silent_broker"]

pytestmark = pytest.mark.django_db

EMAIL = {"to": ["ann@example.org"], "subject": "Your invoice", "text": "It is due.\n"}


@pytest.fixture
def token() -> str:
    return new_token("notifications:send", "tasks:read", "payloads:read")


@pytest.fixture
def api(token: str) -> Api:
    return Api(token)


def test_an_email_is_accepted_before_it_is_sent(api: Api) -> None:
    answer = api.post("emails", EMAIL)

    body = answer.json()
    assert answer.status_code == 202
    assert (body["state"], body["url"]) == ("PENDING", f"/api/v1/tasks/{body['id']}")
    assert answer["Location"] == body["url"]
    assert Message.objects.get(pk=body["id"]).queue == "notifications"


def test_a_lane_chooses_the_queue(api: Api) -> None:
    answer = api.post("emails", {**EMAIL, "lane": "urgent"})

    assert api.get(f"tasks/{answer.json()['id']}").json()["queue"] == "notifications.urgent"


def test_the_state_of_a_task_that_waits_is_known_at_once(api: Api) -> None:
    accepted = api.post("emails", EMAIL)

    state = api.get(f"tasks/{accepted.json()['id']}").json()

    assert (state["state"], state["task"], state["attempts"]) == ("PENDING", "notifications.send_email", 0)
    assert state["started_at"] is state["finished_at"] is state["ran_seconds"] is state["result"] is None
    assert 0 <= state["waited_seconds"] < 30


def test_the_state_of_a_task_that_succeeded_has_its_result_and_times(api: Api) -> None:
    row = result(queue=URGENT, outcome={"accepted": ["ann@example.org"]}, meta={"attempt": 2})

    state = api.get(f"tasks/{row.task_id}").json()

    assert (state["state"], state["queue"], state["attempts"]) == ("SUCCESS", URGENT, 2)
    assert state["result"] == {"accepted": ["ann@example.org"]}
    assert (state["waited_seconds"], state["ran_seconds"], state["error"]) == (0.04, 0.31, None)


def test_a_result_that_retention_removed_is_said_to_be_removed(api: Api) -> None:
    kept = result(outcome={"accepted": 1})
    gone = result(meta={"payload_removed_at": "2026-11-20T02:00:00+00:00"})

    assert api.get(f"tasks/{kept.task_id}").json()["payload_removed_at"] is None
    state = api.get(f"tasks/{gone.task_id}").json()
    assert (state["result"], state["payload_removed_at"]) == (None, "2026-11-20T02:00:00Z")


def test_the_state_of_a_task_that_failed_has_the_reason_and_no_traceback(api: Api) -> None:
    row = result(status=states.FAILURE, outcome=REFUSED, traceback="Traceback (most recent call last): …")

    answer = api.get(f"tasks/{row.task_id}")

    assert answer.json()["error"] == {"type": "PermanentError", "message": REFUSED["exc_message"][0]}
    assert answer.json()["result"] is None
    assert "Traceback" not in answer.content.decode()


def test_the_state_of_a_task_that_runs_has_its_worker_and_progress(api: Api) -> None:
    row = specimens.a_busy_hour()["running"]
    Message.objects.filter(pk=row.pk).update(state="COUNTING", progress='{"done": 3}')

    state = api.get(f"tasks/{row.pk}").json()

    assert (state["state"], state["progress"], state["worker"]) == ("COUNTING", {"done": 3}, "reporting@app-1")
    assert (state["attempts"], state["finished_at"], state["error"]) == (1, None, None)
    assert state["waited_seconds"] == pytest.approx(0.1, abs=0.1)
    assert state["ran_seconds"] >= 13.9


@pytest.mark.parametrize("scopes", [("tasks:read",), ("tasks:read", "payloads:rea")])
def test_what_a_task_returned_takes_a_scope_of_its_own(api: Api, scopes: tuple[str, ...]) -> None:
    returned, failed = result(outcome={"to": "ann"}), result(status=states.FAILURE, outcome=REFUSED)
    running = specimens.a_busy_hour()["running"]
    Message.objects.filter(pk=running.pk).update(state="COUNTING", progress='{"at": "ben"}')
    narrow = Api(new_token(*scopes, called="narrow"))

    for row_id in (returned.task_id, running.pk, failed.task_id):
        seen, whole = narrow.get(f"tasks/{row_id}").json(), api.get(f"tasks/{row_id}").json()
        assert (seen["progress"], seen["result"], seen["masked"], whole["masked"]) == (None, None, True, False)
        told = {"progress", "result", "masked", "waited_seconds", "ran_seconds"}
        assert {k: v for k, v in seen.items() if k not in told} == {k: v for k, v in whole.items() if k not in told}
    assert (api.get(f"tasks/{returned.task_id}").json()["result"], seen["error"]["type"]) == (
        {"to": "ann"},
        "PermanentError",
    )


def test_the_state_of_a_task_that_waits_to_be_retried_says_when_and_why(api: Api) -> None:
    row = specimens.a_busy_hour()["retrying"]

    state = api.get(f"tasks/{row.pk}").json()

    assert (state["state"], state["attempts"]) == ("RETRY", 1)
    assert state["due_at"] > state["enqueued_at"]
    assert state["error"] == {"type": "TransientError", "message": specimens.BUSY["exc_message"][0]}


def test_a_task_that_is_replaced_while_its_old_result_is_kept_is_in_flight(api: Api) -> None:
    row = specimens.in_flight()
    result(task_id=row.pk)

    assert api.get(f"tasks/{row.pk}").json()["state"] == "PENDING"


@pytest.mark.parametrize("task_id", [str(uuid.uuid4()), "nonsense", "%00", quote("ü" * 300)])
def test_an_unknown_task_is_not_found(api: Api, task_id: str) -> None:
    _assert_problem(api.get(f"tasks/{task_id}"), 404, "Check the id")


@pytest.mark.parametrize("header", [{}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}])
def test_without_a_token_nothing_is_to_be_had(header: dict[str, str]) -> None:
    answer = Client(headers=header).post("/api/v1/emails", EMAIL, content_type="application/json")

    _assert_problem(answer, 401, "token")
    assert answer["WWW-Authenticate"] == 'Bearer realm="Taskyard"'


def test_an_unknown_token_is_told_so() -> None:
    _assert_problem(Api("ty_nobody").get("tasks/1"), 401, "unknown")


def test_a_revoked_token_is_told_so(token: str) -> None:
    ApiToken.objects.get().revoke()

    _assert_problem(Api(token).get("tasks/1"), 401, "“web shop”) was revoked")


def test_a_tokens_use_is_recorded_and_its_text_is_not(api: Api, token: str) -> None:
    api.get("tasks/1")

    row = ApiToken.objects.values().get()
    assert row["last_used_at"] is not None
    assert token not in str(row)


def test_a_tokens_use_is_recorded_once_a_minute(api: Api, django_assert_num_queries: Any) -> None:
    api.get("tasks/1")
    first = ApiToken.objects.get().last_used_at

    api.get("tasks/1")

    assert first is not None
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    api.get("tasks/1")
    assert ApiToken.objects.get().last_used_at > first  # type: ignore[operator]


@pytest.mark.parametrize(
    ("change", "field", "cure"),
    [
        ({"to": ["ann"]}, "to.0", "name@example.org"),
        ({"to": []}, "to", "no recipient"),
        ({"to": "ann@example.org"}, "to", "list"),
        ({"to": [1]}, "to.0", "string"),
        ({"subject": "Hello\nBcc: all@example.org"}, "subject", "one line"),
        ({"subject": None}, "subject", "string"),
        ({"text": "x" * 1_000_001}, "text", "send a link"),
        ({"lane": "express"}, "lane", "default, urgent, bulk"),
        ({"subjcet": "Hello"}, "subjcet", "not permitted"),
    ],
)
def test_a_wrong_field_is_named_with_its_cure(api: Api, change: dict[str, Any], field: str, cure: str) -> None:
    answer = api.post("emails", {**EMAIL, **change})

    _assert_problem(answer, 422, field)
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert cure in error["detail"]
    assert not Message.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "null", '"text"'])
def test_a_body_that_is_no_object_is_named(api: Api, body: str) -> None:
    _assert_problem(api.post("emails", body), 422, "body")


@pytest.mark.parametrize("body", ["{", '{"to": nobody}', b"\xff\xfe{", "[" * 100_000])
def test_a_body_that_is_no_json_is_refused_in_json(api: Api, body: Any) -> None:
    _assert_problem(api.post("emails", body), 400, "body")


def test_no_json_is_pointed_at_by_line_and_column(api: Api) -> None:
    _assert_problem(api.post("emails", '{\n"to": nobody}'), 400, "line 2, column 7")


def test_a_body_that_is_too_large_is_refused_unread(api: Api, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    _assert_problem(api.post("emails", {**EMAIL, "text": "x" * 1000}), 413, "1,000 bytes")


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v2/emails", "/api/v1/nothing", "/api/v1/emails/"])
def test_what_does_not_exist_is_not_found_in_json(path: str) -> None:
    _assert_problem(Client().post(path, EMAIL), 404, "/api/v1/docs lists")


def test_a_wrong_method_is_refused_in_json(api: Api) -> None:
    answer = api.put("emails")

    _assert_problem(answer, 405, "does not take PUT; use POST")
    assert answer["Allow"] == "POST"


def test_an_unknown_host_is_refused_in_json() -> None:
    _assert_problem(Client(headers={"host": "evil.example"}).get("/api/v1/tasks/1"), 400, "headers")


def test_pages_outside_the_api_keep_their_own_errors() -> None:
    assert "json" not in Client().get("/nothing")["Content-Type"]


def test_an_absent_broker_keeps_nobody_from_handing_work_over(api: Api, absent_broker: None) -> None:
    answer = api.post("emails", EMAIL)

    assert answer.status_code == 202
    assert Message.objects.get().pk == answer.json()["id"]


def test_a_broker_that_hangs_slows_nobody_down(api: Api, silent_broker: None) -> None:
    before = time.monotonic()

    assert api.post("emails", EMAIL).status_code == 202
    assert time.monotonic() - before < 5


def test_a_session_in_the_admin_is_no_token(admin_user: User) -> None:
    browser = Client()
    browser.force_login(admin_user)

    _assert_problem(browser.get("/api/v1/tasks/1"), 401, "Send a token")


def test_the_documentation_needs_no_other_network() -> None:
    page = Client().get("/api/v1/docs")

    assert page.status_code == 200
    assert "https://" not in page.content.decode()


def test_the_description_names_every_operation_and_its_security() -> None:
    described = Client().get("/api/v1/openapi.json").json()

    assert sorted(described["paths"]) == [
        "/api/v1/deliveries",
        "/api/v1/emails",
        "/api/v1/notifications",
        "/api/v1/notifications/{notification_id}",
        "/api/v1/notifications/{notification_id}/cancel",
        "/api/v1/notifications/{notification_id}/deliveries",
        "/api/v1/suppressions",
        "/api/v1/suppressions/{address}",
        "/api/v1/tasks/{task_id}",
    ]
    assert described["components"]["securitySchemes"]["BearerToken"] == {"type": "http", "scheme": "bearer"}
    assert described["components"]["schemas"]["NewEmail"]["properties"]["lane"]["enum"] == [
        "default",
        "urgent",
        "bulk",
    ]


@pytest.mark.parametrize(("method", "path"), [("get", "/api/v1/nope"), ("get", "/api/v1/emails")])
def test_an_error_of_djangos_own_has_its_true_length(client: Client, method: str, path: str) -> None:
    answer = getattr(client, method)(path)

    assert int(answer["Content-Length"]) == len(answer.content)
    assert answer.json()["status"] == answer.status_code
