"""The whole API as it describes itself, called with all that its description allows and forbids, by Schemathesis.

TASKYARD_FUZZ_EXAMPLES sets how many calls of each kind each operation gets; the same ones at each run.
"""

import itertools
import os
import string
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation
from schemathesis.core.result import Ok
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.schemas import OpenApiSchema

from notifications import addresses
from notifications.addresses import InvalidAddress
from notifications.api_keys import HEADER
from notifications.tables import Notification
from notifications.templating.tables import Template, TemplateVersion
from project.wsgi import application
from routing.console import scopes, tokens
from routing.console.tokens import ApiToken
from tests.api_client import PROBLEM, new_token

pytestmark = [pytest.mark.one_database, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

EXAMPLES = int(os.environ.get("TASKYARD_FUZZ_EXAMPLES", "5"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NUMBERS = itertools.count()
OPERATIONS = [
    "POST /api/v1/notifications",
    "GET /api/v1/notifications/{notification_id}",
    "GET /api/v1/notifications/{notification_id}/deliveries",
    "POST /api/v1/notifications/{notification_id}/cancel",
    "GET /api/v1/deliveries",
    "GET /api/v1/suppressions",
    "PUT /api/v1/suppressions/{address}",
    "DELETE /api/v1/suppressions/{address}",
    "POST /api/v1/emails",
    "GET /api/v1/tasks/{task_id}",
]
SENDING = ("/api/v1/notifications", "/api/v1/emails")

schemathesis.openapi.format(
    "mailbox",
    st.emails()
    | st.tuples(st.text(string.ascii_letters, min_size=1, max_size=9), st.emails()).map("{0[0]} <{0[1]}>".format),
)


TOKEN = tokens.PREFIX + "fuzz"
CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 1,
        # Words from the source would be tried as values; it takes a minute to collect them.
        "analysis": {"constants": {"enabled": False}},
        "auth": {"openapi": {"BearerToken": {"bearer": TOKEN}}},
        # JSON Schema has no word for “no NUL”; tests/console/test_api_bodies.py sends some.
        "generation": {"deterministic": True, "allow-x00": False},
    }
)


@lru_cache(maxsize=1)
def described() -> OpenApiSchema:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application, config=CONFIG)


def operations() -> dict[str, APIOperation[Any, Any, Any, Any]]:
    return {each.ok().label: each.ok() for each in described().get_all_operations() if isinstance(each, Ok)}


@pytest.fixture(autouse=True)
def storage(tmp_path: Path) -> Iterator[None]:
    with override_settings(MEDIA_ROOT=tmp_path):
        yield


@pytest.fixture(autouse=True)
def known(transactional_db: None) -> None:
    """The token that all calls are made with, and a template."""
    ApiToken.objects.create(name="fuzz", digest=tokens.digest(TOKEN), scopes=" ".join(scopes.registry()))
    template = Template.objects.create(name="welcome")
    TemplateVersion.objects.create(template=template, number=1, subject="Hello", text="Hello {{ name }}")


def usable(case: Any) -> None:
    """Make of what the description allows what can be sent, where it has no words for the difference."""
    body = case.body
    if case.path not in SENDING or not case.meta.generation.mode.is_positive or not isinstance(body, dict):
        return
    if case.headers and HEADER in case.headers:
        # An earlier call may have had it, with another body.
        case.headers[HEADER] = str(next(NUMBERS))
    # Of the other channels, other addresses are theirs.
    body.pop("channel", None)
    use_known_template(body) if isinstance(body.get("template"), str) else use_words(body)
    if not "1990" < (body.get("send_at") or "") < "2090":
        body.pop("send_at", None)
    if not is_address(body.get("from_email")):
        body.pop("from_email", None)
    body["reply_to"] = list(filter(is_address, body.get("reply_to", [])))
    body["to"] = different(body["to"]) or ["ann@example.org"]
    if "attachments" in body:
        body["attachments"] = [{"name": "a.txt", "content": file["content"]} for file in body["attachments"]]


def use_known_template(body: dict[str, Any]) -> None:
    for name in ("subject", "text", "html"):
        body.pop(name, None)
    body["template"] = "welcome"


def use_words(body: dict[str, Any]) -> None:
    body.pop("context", None)
    body["to"] = [one if isinstance(one, str) else one["to"] for one in body["to"]]
    body["subject"], body["text"] = "Hello", body.get("text", "").strip() or "It works."


def different(to: list[Any]) -> list[Any]:
    """One for each address that is one."""
    found = {}
    for one in to:
        written = one if isinstance(one, str) else one["to"]
        if is_address(written):
            found[addresses.parse(written).address.casefold()] = one
    return list(found.values())


def is_address(text: Any) -> bool:
    try:
        return bool(addresses.parse(text or ""))
    except InvalidAddress:
        return False


def test_every_operation_is_tried() -> None:
    assert sorted(operations()) == sorted(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_call_is_answered_as_the_description_says(label: str) -> None:
    def call(case: Any) -> None:
        usable(case)
        case.call_and_validate()

    # Not Schemathesis' own decorator: it makes its calls up when tests are collected, which takes most of a minute.
    build_operation_test(
        config=described().config,
        operation=operations()[label],
        test_func=call,
        explicit_settings=SETTINGS,
        given_kwargs={},
        feedback=FeedbackSources(),
    )()


@pytest.mark.parametrize("kind", ["absent", "unknown", "revoked", "without scopes"])
def test_no_call_is_answered_without_its_token(kind: str) -> None:
    headers = {"Authorization": f"Bearer {unusable_token(kind)}"} if kind != "absent" else {"Authorization": ""}

    @settings(SETTINGS, max_examples=EXAMPLES)
    @given(case=st.one_of([each.as_strategy() for each in operations().values()]))
    def call(case: Any) -> None:
        answer = case.call(headers=headers)
        assert answer.status_code == (403 if kind == "without scopes" else 401)
        assert answer.headers["content-type"] == [PROBLEM]

    call()
    assert not Notification.objects.exists()


def unusable_token(kind: str) -> str:
    token = new_token() if kind == "revoked" else ApiToken(name="nobody").issue()
    if kind == "revoked":
        ApiToken.objects.get(name="web shop").revoke()
    return token if kind != "unknown" else f"{token}x"


def test_what_is_created_can_be_asked_for_and_cancelled() -> None:
    class Machine(described().as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            usable(case)

    Machine.run(settings=settings(SETTINGS, stateful_step_count=10))

    assert Notification.objects.filter(cancelled_at__isnull=False).exists()
