"""Who may call what: a token in the header of every call, and in it the scope that the operation needs."""

from typing import Any

from django.http import HttpRequest
from ninja.errors import AuthenticationError, AuthorizationError
from ninja.security import HttpBearer

from routing.console import tokens
from routing.console.scopes import Scope
from routing.console.tokens import ApiToken

SCOPE = "x-scope"
"""Where an operation's description keeps its scope until routing.console.api_description writes it out."""


class MissingScope(AuthorizationError):
    """A token that lets its program in, and not here."""

    def __init__(self, token: ApiToken, scope: Scope) -> None:
        super().__init__(
            message=f"The token “{token.name}” ({token.hint}…) lacks the scope {scope.name}. An administrator can give "
            "it to this token in the admin, under API tokens."
        )
        self.scope = scope.name


class BearerToken(HttpBearer):
    """``Authorization: Bearer ty_…``, with a token that an administrator made and gave this scope."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def __call__(self, request: HttpRequest) -> Any:
        found = super().__call__(request)
        if found is None:
            raise AuthenticationError(
                message=f"Send a token in the header “Authorization: Bearer {tokens.PREFIX}…”. An administrator makes "
                "one in the admin, under API tokens."
            )
        return found

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        try:
            found = tokens.authenticate(token.strip())
        except tokens.UnknownToken as error:
            raise AuthenticationError(message=str(error)) from None
        if not found.may(self._scope.name):
            raise MissingScope(found, self._scope)
        return found


def needs(scope: Scope) -> dict[str, Any]:
    """What a router is told of an operation that needs this scope: ``@router.get(…, **needs(TASKS_READ))``."""
    return {"auth": BearerToken(scope), "openapi_extra": {SCOPE: scope.name}}


def token_of(request: HttpRequest) -> ApiToken:
    """The token that this call was let in with."""
    token = getattr(request, "auth", None)
    assert isinstance(token, ApiToken), "every operation needs a scope, and so a token"  # noqa: S101
    return token
