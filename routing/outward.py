"""Requests to addresses that whoever runs this has set: over in a few seconds, and either taken or not."""

import json
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

STEP = 5.0
"""Seconds for each step, such as connecting."""


class NotTaken(Exception):
    """The other side did not take it; says why, without the address's path, which may be a secret."""


def post(url: str, document: Mapping[str, Any] | None = None, *, seconds: float = 2 * STEP) -> None:
    """Post it as JSON, or nothing. Raises NotTaken, after so many seconds at the latest.

    Raises TypeError and ValueError for what is no JSON.
    """
    body = json.dumps(document).encode() if document is not None else None
    taken: Future[None] = Future()
    # In a thread of its own: neither the look-up of a name nor an answer that comes by drops heeds a time limit.
    threading.Thread(target=_try, args=(url, body, taken), name="outward", daemon=True).start()
    try:
        taken.result(timeout=seconds)
    except TimeoutError:
        raise NotTaken(f"{place(url)} gave no answer within {seconds:g} s") from None


def place(url: str) -> str:
    """What of an address may be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _try(url: str, body: bytes | None, taken: "Future[None]") -> None:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        request = Request(url, data=body or b"", method="POST", headers={"User-Agent": "Taskyard", **headers})  # noqa: S310
        with build_opener(_NoRedirects).open(request, timeout=STEP):
            taken.set_result(None)
    except HTTPError as error:
        taken.set_exception(NotTaken(f"{place(url)} answered {error.code} {error.reason}"))
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        said = "gave no answer in time" if isinstance(why, socket.timeout) else f"cannot be reached: {why}"
        taken.set_exception(NotTaken(f"{place(url)} {said}"))
    except Exception as error:  # noqa: BLE001  (a mistake of ours, raised where somebody waits for it)
        taken.set_exception(error)


class _NoRedirects(HTTPRedirectHandler):
    """What is sent goes where it was said to go, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None
