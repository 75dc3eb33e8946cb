"""Reads the body of a call: JSON and nothing else, and nothing in it that no database can keep."""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser
from ninja.types import DictStrAny

from routing.console.problems import Refused

JSON = "application/json"
MAX_DEPTH = 32
MAX_DIGITS = 300
"""Of a whole number; one that is not whole may be as large."""
ANY_CONTENT_TYPE = frozenset({"send_email"})
"""Operations whose first callers were never asked for one."""
_SHOWN = 100


class JsonBody(Parser):
    """Ninja's parser of bodies. Raises Refused."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        _check_content_type(request)
        body: Any = _parsed(request.body)
        if errors := list(_unstorable(body)):
            raise Refused(422, "Correct the body and send it again.", errors=errors)
        return body  # type: ignore[no-any-return]


def _check_content_type(request: HttpRequest) -> None:
    match = request.resolver_match
    if request.content_type != JSON and not (match and match.url_name in ANY_CONTENT_TYPE):
        given = request.headers.get("Content-Type", "")
        raise Refused(415, f"The body is taken as JSON only; send “Content-Type: {JSON}”, not {given[:_SHOWN]!r}.")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant, parse_float=_finite, parse_int=_countable)
    except json.JSONDecodeError as error:
        raise Refused(400, f"The body is no JSON: {error.msg}, at line {error.lineno}, column {error.colno}.") from None
    except UnicodeDecodeError:
        raise Refused(400, "The body is no JSON: it is not in UTF-8.") from None
    except RecursionError:
        raise Refused(400, f"The body is nested too deeply; {MAX_DEPTH} levels are taken.") from None
    except ValueError as error:
        raise Refused(400, f"The body is no JSON that is taken here: {error}.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:_SHOWN]} is too large a number")
    return number


def _countable(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"{text[:_SHOWN]}… is too large a number")
    return int(text)


def _unstorable(body: Any) -> Iterator[dict[str, str]]:
    """One error for each text or level that cannot be kept."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), body)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if reason := _objection(value):
                yield _error(path, reason)
        elif not isinstance(value, dict | list):
            continue
        elif len(path) >= MAX_DEPTH:
            yield _error(path, f"is nested more than {MAX_DEPTH} levels deep.")
        else:
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            for name, part in parts:
                if isinstance(name, str) and (reason := _objection(name)):
                    yield _error((*path, name), f"as a name {reason}")
                waiting.append(((*path, str(name)), part))


def _objection(text: str) -> str:
    if "\0" in text:
        return "has a NUL, which no database keeps; take it out."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which is no character; take it out."
    return ""


def _error(path: tuple[str, ...], detail: str) -> dict[str, str]:
    shown = ".".join(path) or "body"
    # Whatever is wrong with it, the answer is to be readable.
    return {"field": shown.encode(errors="replace").decode().replace("\0", "?")[:_SHOWN], "detail": detail}
