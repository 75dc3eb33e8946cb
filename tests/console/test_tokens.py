"""API tokens as administrators make and revoke them."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from routing.console import tokens
from routing.console.tokens import ApiToken, UnknownToken

pytestmark = pytest.mark.django_db

LIST = "admin:routing_apitoken_changelist"


@pytest.fixture
def token() -> ApiToken:
    made = ApiToken(name="web shop")
    made.issue()
    return made


def test_a_token_lets_its_program_in(token: ApiToken) -> None:
    assert tokens.authenticate(token.issued) == token


def test_a_token_begins_like_every_token_of_this_api_and_cannot_be_guessed(token: ApiToken) -> None:
    assert re.fullmatch(r"ty_[\w-]{43}", token.issued)


def test_only_a_hash_is_stored(token: ApiToken) -> None:
    assert token.issued not in str(ApiToken.objects.values().get())
    assert ApiToken.objects.get().issued == ""


def test_a_revoked_token_lets_nobody_in(token: ApiToken) -> None:
    assert token.revoke()

    with pytest.raises(UnknownToken, match="was revoked at"):
        tokens.authenticate(token.issued)


def test_a_token_is_revoked_once(token: ApiToken) -> None:
    token.revoke()
    first = ApiToken.objects.get().revoked_at

    assert not token.revoke()
    assert ApiToken.objects.get().revoked_at == first


@pytest.mark.parametrize("text", ["", "ty_", "ty_\ud800", "x" * 10_000])
def test_any_other_text_lets_nobody_in(token: ApiToken, text: str) -> None:
    with pytest.raises(UnknownToken, match="unknown"):
        tokens.authenticate(text)


def test_a_new_token_is_shown_once(admin_client: Client, admin_user: User) -> None:
    page = admin_client.post(reverse("admin:routing_apitoken_add"), {"name": "web shop", "scopes": ["tasks:read"]})

    shown = re.search(r'value="(ty_[\w-]+)"', page.content.decode())
    made = ApiToken.objects.get()
    assert shown is not None
    assert tokens.authenticate(shown[1]) == made
    assert made.created_by == admin_user
    assert "no-store" in page["Cache-Control"]
    for again in (reverse(LIST), reverse("admin:routing_apitoken_change", args=[made.pk])):
        assert shown[1] not in admin_client.get(again).content.decode()


def test_a_new_token_asks_for_a_name_and_scopes_alone(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:routing_apitoken_add")).content.decode()

    assert re.findall(r'<input type="text" name="(\w+)"', page) == ["name"]
    answer = admin_client.post(reverse("admin:routing_apitoken_add"), {"name": "", "scopes": ["tasks:read"]})
    assert answer.status_code == 200
    assert not ApiToken.objects.exists()


def test_renaming_a_token_keeps_it(admin_client: Client, token: ApiToken) -> None:
    url = reverse("admin:routing_apitoken_change", args=[token.pk])

    admin_client.post(url, {"name": "new shop", "scopes": "tasks:read", "digest": "x", "hint": "x", "revoked_at": ""})

    assert tokens.authenticate(token.issued).name == "new shop"


def test_selected_tokens_are_revoked_and_logged(admin_client: Client, token: ApiToken) -> None:
    page = admin_client.post(
        reverse(LIST), {"action": "revoke_selected", "_selected_action": [token.pk]}, follow=True
    ).content.decode()

    assert ApiToken.objects.get().revoked_at is not None
    assert "1 token is revoked." in page
    assert LogEntry.objects.get().get_change_message() == "Revoked."


def test_no_token_can_be_deleted(admin_client: Client, token: ApiToken) -> None:
    assert admin_client.post(reverse("admin:routing_apitoken_delete", args=[token.pk])).status_code == 403
    assert "delete_selected" not in admin_client.get(reverse(LIST)).content.decode()


def test_who_may_only_look_cannot_revoke(client: Client, token: ApiToken, django_user_model: type[User]) -> None:
    viewer = django_user_model.objects.create_user("vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_apitoken"))
    client.force_login(viewer)

    client.post(reverse(LIST), {"action": "revoke_selected", "_selected_action": [token.pk]})

    assert ApiToken.objects.get().revoked_at is None
