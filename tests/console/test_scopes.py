"""What a token may do: what its scopes say, what it could before there were scopes, and what administrators tick."""

import re
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse

from routing.console import scopes, tokens
from routing.console.tokens import BEFORE_SCOPES, ApiToken
from tests.api_client import Api, assert_problem, new_token

pytestmark = pytest.mark.django_db

ADD = "admin:routing_apitoken_add"
NOBODY = "00000000-0000-4000-8000-000000000000"
CALLS = [
    ("notifications:send", "post", "notifications"),
    ("notifications:send", "post", "emails"),
    ("notifications:read", "get", f"notifications/{NOBODY}"),
    ("notifications:read", "get", f"notifications/{NOBODY}/deliveries"),
    ("notifications:read", "get", "deliveries?address=ann@example.org"),
    ("notifications:cancel", "post", f"notifications/{NOBODY}/cancel"),
    ("suppressions:read", "get", "suppressions"),
    ("suppressions:write", "put", "suppressions/ann@example.org"),
    ("suppressions:write", "delete", "suppressions/ann@example.org"),
    ("tasks:read", "get", f"tasks/{NOBODY}"),
]


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    described = Client().get("/api/v1/openapi.json").json()
    return [(method, path, each) for path, found in described["paths"].items() for method, each in found.items()]


@pytest.mark.parametrize(("scope", "method", "path"), CALLS)
def test_a_call_without_its_scope_is_told_which_it_lacks_and_the_cure(scope: str, method: str, path: str) -> None:
    others = [name for name in scopes.registry() if name != scope]
    answer = getattr(Api(new_token(*others)), method)(path)

    assert_problem(answer, 403, "“web shop” (ty_")
    assert f"lacks the scope {scope}. An administrator can give it" in answer.json()["detail"]
    assert answer["WWW-Authenticate"] == f'Bearer realm="Taskyard", error="insufficient_scope", scope="{scope}"'


@pytest.mark.parametrize(("scope", "method", "path"), CALLS)
def test_a_scope_is_all_that_a_call_needs(scope: str, method: str, path: str) -> None:
    assert getattr(Api(new_token(scope)), method)(path).status_code in (200, 201, 404, 422)


def test_every_operation_is_tried_here_and_says_which_scope_it_needs() -> None:
    described = {(method, each["security"][0]["BearerToken"][0]) for method, _, each in operations()}

    assert len(operations()) == len(CALLS)
    assert described == {(method, scope) for scope, method, _ in CALLS}
    for _, _, each in operations():
        assert f"Needs the scope `{each['security'][0]['BearerToken'][0]}`." in each["description"]


def test_every_error_is_described_in_the_form_it_comes_in() -> None:
    for method, path, each in operations():
        errors = {status: found for status, found in each["responses"].items() if status >= "400"}
        assert {"400", "401", "403", "503"} <= errors.keys(), f"{method} {path}"
        assert {kind for found in errors.values() for kind in found["content"]} == {"application/problem+json"}


def test_a_token_that_a_release_without_scopes_makes_may_do_what_it_could() -> None:
    old = ApiToken(name="old")
    old.issue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, digest, hint, created_at FROM routing_apitoken")
        row = cursor.fetchone()
        cursor.execute("DELETE FROM routing_apitoken")
        cursor.execute("INSERT INTO routing_apitoken (name, digest, hint, created_at) VALUES (%s, %s, %s, %s)", row)

    found = tokens.authenticate(old.issued)

    assert found.scopes == BEFORE_SCOPES
    assert [name for name in scopes.registry() if found.may(name)] == ["notifications:send", "tasks:read"]


def test_tokens_that_could_see_what_tasks_returned_go_on_seeing_it_and_no_other_does() -> None:
    before = ["tasks:read", "notifications:send tasks:read", "notifications:read", "", "tasks:read payloads:read"]
    for scopes_of in before:
        ApiToken(name=scopes_of, scopes=scopes_of).issue()
    migration = import_module("routing.migrations.0020_tokens_that_see_payloads")

    for _ in range(2):
        migration.give(apps, connection.schema_editor())

    assert [token.scopes for token in ApiToken.objects.order_by("pk")] == [
        "tasks:read payloads:read",
        "notifications:send tasks:read payloads:read",
        *before[2:],
    ]


def test_the_description_tells_what_payloads_take() -> None:
    (described,) = [each for method, path, each in operations() if (method, path) == ("get", "/api/v1/tasks/{task_id}")]
    assert "`payloads:read`" in described["description"]


@pytest.mark.parametrize("scope", ["", "notifications", "tasks:rea", "tasks:read notifications:read"])
def test_a_part_of_a_scopes_name_is_no_scope(scope: str) -> None:
    assert not ApiToken(scopes="tasks:read notifications:send").may(scope)


def test_the_form_offers_every_scope_in_words_and_ticks_the_usual_ones(admin_client: Client) -> None:
    page = admin_client.get(reverse(ADD)).content.decode()

    boxes = re.findall(r'<input type="checkbox" name="scopes" value="([\w:]+)"([^>]*)>', page)
    assert [name for name, _ in boxes] == list(scopes.registry())
    ticked = [name for name, attributes in boxes if re.search(r"\schecked(\s|$)", attributes)]
    assert ticked == ["notifications:send", "notifications:read", "tasks:read"]
    for scope in scopes.registry().values():
        assert str(scope.words) in page


def test_what_is_ticked_is_what_the_token_may(admin_client: Client) -> None:
    admin_client.post(reverse(ADD), {"name": "bounces", "scopes": ["suppressions:write", "suppressions:read"]})

    assert sorted(ApiToken.objects.get().scopes.split()) == ["suppressions:read", "suppressions:write"]


@pytest.mark.parametrize("chosen", [[], ["everything"], ["tasks:read", ""]])
def test_no_scope_and_no_other_words_are_taken(admin_client: Client, chosen: list[str]) -> None:
    page = admin_client.post(reverse(ADD), {"name": "web shop", "scopes": chosen})

    assert page.status_code == 200
    assert ("Tick at least one" if not chosen else "is not one of the available choices") in page.content.decode()
    assert not ApiToken.objects.exists()


def test_scopes_are_changed_later_and_that_is_logged(admin_client: Client) -> None:
    api = Api(new_token("tasks:read"))
    url = reverse("admin:routing_apitoken_change", args=[ApiToken.objects.get().pk])

    admin_client.post(url, {"name": "web shop", "scopes": ["suppressions:read"]})

    assert api.get("suppressions").status_code == 200
    assert api.get(f"tasks/{NOBODY}").status_code == 403
    assert LogEntry.objects.get().get_change_message() == "Changed It may."
