"""What the API says of itself (OpenAPI): of each operation the scope it needs, and errors in the form they come in."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from routing.console import problems
from routing.console.api_access import SCOPE

Described = dict[str, Any]


def finish(described: Described) -> None:
    """Put into Ninja's description what Ninja does not know."""
    for operation in _operations(described):
        scope = operation.pop(SCOPE)
        # Roles of a bearer token, which OpenAPI 3.1 lets one name.
        operation["security"] = [{name: [scope] for name in need} for need in operation["security"]]
        words = [operation.get("description", ""), f"Needs the scope `{scope}`."]
        operation["description"] = "\n\n".join(filter(None, words))
        for status, response in operation["responses"].items():
            if int(status) >= HTTPStatus.BAD_REQUEST:
                _as_problem(int(status), response)


def _operations(described: Described) -> Iterator[Described]:
    for path in described["paths"].values():
        yield from path.values()


def _as_problem(status: int, response: Described) -> None:
    (content,) = response["content"].values()
    response["content"] = {problems.CONTENT_TYPE: content}
    header = {401: "WWW-Authenticate", 403: "WWW-Authenticate", 503: "Retry-After"}.get(status)
    if header:
        kind = "integer" if header == "Retry-After" else "string"
        response["headers"] = {header: {"required": True, "schema": {"type": kind}}}
