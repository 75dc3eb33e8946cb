"""What a mail says as a file of Django's storage: ten thousand tasks then hold its name, and not its text.

The file is that which was meant, or it is refused: its digest goes with its name.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import default_storage
from django.utils.html import escape

from notifications.attachments import Missing, StorageAway
from notifications.channels.email import MAX_BYTES
from notifications.problems import InvalidNotification, Problem
from routing.errors import PermanentError

BODIES = ("text", "html")
REFERENCE = ("storage_name", "sha256")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Changed(PermanentError):
    """The file is another one than was meant."""


def problems(given: Mapping[str, Any]) -> Iterator[Problem]:
    for name in BODIES:
        body = given.get(name, "")
        if not isinstance(body, str) and not _is_reference(body):
            yield Problem(
                name, 'is neither a text nor a file of the storage, {"storage_name": "week.html", "sha256": "2c26b4…"}.'
            )
    marks = given.get("fill_in", {})
    if not isinstance(marks, Mapping) or not all(mark and isinstance(value, str) for mark, value in marks.items()):
        yield Problem("fill_in", 'is no mapping of texts; write {"https://mark.invalid": "https://example.org/ann"}.')


def filled_in(given: Mapping[str, Any]) -> dict[str, str]:
    """The bodies, read where they are files, with each mark replaced. Raises Missing, Changed and StorageAway."""
    found = {}
    for name in BODIES:
        if name not in given:
            continue
        body = given[name] if isinstance(given[name], str) else _read(*(given[name][part] for part in REFERENCE))
        for mark, value in given.get("fill_in", {}).items():
            body = body.replace(mark, str(escape(value)) if name == "html" else value)
        found[name] = body
    return found


def _is_reference(body: Any) -> bool:
    return (
        isinstance(body, Mapping)
        and set(body) == set(REFERENCE)
        and all(isinstance(value, str) for value in body.values())
        and bool(body["storage_name"])
        and bool(_DIGEST.match(body["sha256"]))
    )


@lru_cache(maxsize=8)
def _read(name: str, digest: str) -> str:
    """Once for all the mails that follow one another in this process."""
    try:
        with default_storage.open(name) as file:
            # No more than may be sent, with a byte that shows that it is too long.
            content: bytes = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, SuspiciousOperation, ValueError):
        raise Missing(f"The file {name} is not in the storage, or not any more.") from None
    except OSError as error:
        raise StorageAway(f"The file {name} cannot be read from the storage: {error}.") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise Changed(f"The file {name} is another one than was meant when the mail was asked for.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidNotification(
            [Problem("text", f"cannot be read from {name}: it is not written in UTF-8.")]
        ) from None
