"""Files that go with a notification: checked when it is asked for, kept in Django's storage, read when it is sent."""

import hashlib
import mimetypes
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.base import File as DjangoFile
from django.core.files.storage import default_storage
from django.utils import timezone

from notifications.channels.shape import File
from notifications.problems import Problem
from notifications.tables import Attachment, Notification
from routing.console.number_words import grouped
from routing.errors import PermanentError, TransientError

FOLDER = "notifications/"
"""Where we keep them in the storage. What lies elsewhere is the application's own, and is never removed."""
MOST = 50
MAX_NAME = 200
ANY_TYPE = "application/octet-stream"

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Stored:
    """A file that lies in Django's storage already, and stays the application's."""

    path: str
    name: str = ""
    content_type: str = ""


def stored(path: str, *, name: str = "", content_type: str = "") -> Stored:
    """Send a file of the storage, by its path there; it is not copied, and must still be there when it is sent."""
    return Stored(path, name, content_type)


Given: TypeAlias = "Path | tuple[str, bytes] | tuple[str, bytes, str] | DjangoFile[Any] | Stored"
"""A file of this machine; a name with its content and, if it cannot be guessed, its type; Django's; or ``stored``."""


class Unusable(ValueError):
    """A file cannot go with an e-mail; the message tells why."""


class Missing(PermanentError):
    """A file is not in the storage any more."""


class StorageAway(TransientError):
    """The storage does not answer."""


@dataclass(frozen=True)
class Checked:
    """A file as it will be stored. ``path`` is where it lies already."""

    name: str
    content_type: str
    size: int
    digest: str
    content: bytes = b""
    path: str = ""


def check(given: Any) -> tuple[list[Checked], list[Problem]]:
    """What can be stored of these, and what is wrong with the others, or with all of them together."""
    if isinstance(given, str | bytes | Path | DjangoFile | Stored) or not isinstance(given, Sequence):
        return [], [Problem("attachments", "is no list; write attachments=[Path(…)].")]
    found: list[Checked] = []
    problems: list[Problem] = []
    for number, one in enumerate(given):
        try:
            found.append(_checked(one))
        except Unusable as error:
            problems.append(Problem(f"attachments.{number}", f"cannot be sent: {error}."))
    return found, problems or list(_too_much(found))


def store(notification: Notification, files: Sequence[Checked]) -> None:
    """In the caller's transaction. Rolled back, the rows are gone, and a file that nobody names is pruned some day.

    Raises StorageAway.
    """
    Attachment.objects.bulk_create(
        Attachment(
            notification=notification,
            name=file.name,
            content_type=file.content_type,
            size=file.size,
            file=file.path or _kept(file.content),
        )
        for file in files
    )


def is_ours(path: str) -> bool:
    """Whether we have put it there, and may remove it."""
    return path.startswith(FOLDER)


@lru_cache(maxsize=2)
def of(notification: UUID) -> tuple[File, ...]:
    """Read once for all the deliveries that follow one another in this process. Raises Missing and StorageAway."""
    return tuple(_read(file) for file in Attachment.objects.filter(notification=notification).order_by("pk"))


def _checked(given: Any) -> Checked:
    match given:
        case Stored():
            return _of_storage(given)
        case Path():
            return _of_content(given.name, _content(given), "")
        case DjangoFile():
            kind = getattr(given, "content_type", None) or ""
            return _of_content(given.name or "", _content(given), str(kind))
        case (str(name), bytes(content)):
            return _of_content(name, content, "")
        case (str(name), bytes(content), str(kind)):
            return _of_content(name, content, kind)
    raise Unusable(
        f"{type(given).__name__} is no file; give a Path, (name, bytes), a Django File, or attachments.stored(path)"
    )


def _of_content(name: str, content: bytes, kind: str) -> Checked:
    name = _named(name)
    return Checked(name, _typed(kind, name), len(content), hashlib.sha256(content).hexdigest(), content)


def _of_storage(given: Stored) -> Checked:
    if len(given.path) > Attachment._meta.get_field("file").max_length:  # type: ignore[operator]
        raise Unusable(f"{given.path!r} is too long a path")
    size = _size(given.path)
    name = _named(given.name or given.path)
    return Checked(name, _typed(given.content_type, name), size, f"{given.path} {size}", path=given.path)


def _size(path: str) -> int:
    """Opened, too: a folder has a size."""
    try:
        with default_storage.open(path):
            return default_storage.size(path)
    except (OSError, SuspiciousOperation, ValueError) as error:
        raise Unusable(f"{path!r} is not in the storage, or cannot be read: {error}") from None


def _content(file: "Path | DjangoFile[Any]") -> bytes:
    """No more than may be sent: a file of gigabytes must not fill the memory."""
    limit: int = settings.TASKYARD_MAX_ATTACHMENTS
    try:
        content = _beginning(file, limit + 1)
    except (OSError, ValueError) as error:
        raise Unusable(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > limit:
        raise Unusable(f"{file} is larger than {_megabytes(limit)}. {_CURE}")
    return content


def _beginning(file: "Path | DjangoFile[Any]", size: int) -> bytes:
    """A file of Django's is left open, or closed, as it was."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return opened.read(size)
    was_closed = file.closed
    file.open("rb")
    content: bytes = file.read(size)
    if was_closed:
        file.close()
    else:
        file.seek(0)
    return content


_CURE = "Send a link instead, or raise TASKYARD_MAX_ATTACHMENTS"


def _too_much(files: Sequence[Checked]) -> Iterator[Problem]:
    size, limit = sum(file.size for file in files), settings.TASKYARD_MAX_ATTACHMENTS
    if size > limit:
        yield Problem("attachments", f"have {_megabytes(size)}; {_megabytes(limit)} may go with an e-mail. {_CURE}.")
    if len(files) > MOST:
        yield Problem("attachments", f"are {len(files)}; {MOST} may go with an e-mail.")


def _named(name: str) -> str:
    """Without folders, and without letters that would break a line or turn its direction around."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter for letter in last if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    stem, dot, ending = plain.strip().rpartition(".")
    if not dot:
        stem, ending = ending, ""
    short = stem[: MAX_NAME - len(dot) - len(ending[:20])] + dot + ending[:20]
    if not short.strip(". "):
        raise Unusable(f"{name!r} is no name of a file")
    return short


def _typed(kind: str, name: str) -> str:
    kind = kind or mimetypes.guess_type(name)[0] or ANY_TYPE
    if not _TYPE.match(kind) or len(kind) > MAX_NAME:
        raise Unusable(f"{kind!r} is no content type, such as application/pdf")
    # A mail within a mail must not be encoded as other files are.
    return ANY_TYPE if kind.startswith(("message/", "multipart/")) else kind.lower()


def _kept(content: bytes) -> str:
    """Under a name that tells nothing and can be nothing: a web server that shows the storage would not run it."""
    folder = timezone.now().strftime(f"{FOLDER}%Y/%m/%d")
    try:
        return default_storage.save(f"{folder}/{uuid4().hex}", ContentFile(content))
    except OSError as error:
        raise StorageAway(f"The storage takes no files: {error}.") from error


def _read(row: Attachment) -> File:
    try:
        with row.file.open("rb") as file:
            content: bytes = file.read()
    except FileNotFoundError:
        raise Missing(f"The file {row.name} is not in the storage any more ({row.file.name}).") from None
    except OSError as error:
        raise StorageAway(f"The file {row.name} cannot be read from the storage: {error}.") from error
    return File(name=row.name, content=content, content_type=row.content_type)


def _megabytes(size: int) -> str:
    return f"{grouped(size / 1_000_000, places=1)} MB" if size >= 100_000 else f"{grouped(size)} bytes"
