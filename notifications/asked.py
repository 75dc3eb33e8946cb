"""What the task ``notifications.notify`` is given by any program, as JSON has it, made the words of ``notify()``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from notifications import attachments, bodies
from notifications.attachments import Stored
from notifications.given import Recipient
from notifications.problems import InvalidNotification, Problem
from notifications.templating import versions

TEXTS = ("template", "subject", "channel", "category", "key", "lane", "from_email", "language")
WORDS = ("template", "subject", *bodies.BODIES, "fill_in", *TEXTS[2:], "context", "reply_to", "attachments")
FILE = ("storage_name", "name", "content_type")
"""What each of the attachments has; only the first is needed."""


def draft(given: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a Draft; what is left out, or null, is as it is there.

    Raises InvalidNotification, and for files of the storage Missing, Changed and StorageAway.
    """
    words = {name: value for name, value in given.items() if value is not None}
    if problems := [*_problems(words)]:
        raise InvalidNotification(problems)
    said = bodies.filled_in(words)
    words.pop("fill_in", None)
    return {**words, **said, "attachments": [_stored(file) for file in words.get("attachments", [])]}


def recipients(to: Any) -> list[Recipient]:
    """Raises InvalidNotification, which names each one that is none."""
    if not isinstance(to, list | tuple):
        raise InvalidNotification([Problem("to", f"is no list; write {_as_list(to)}.")])
    if not to:
        raise InvalidNotification([Problem("to", "names no recipient.")])
    if problems := [problem for number, one in enumerate(to) for problem in _recipient_problems(number, one)]:
        raise InvalidNotification(problems)
    return [_recipient(one) for one in to]


def require_open(words: Mapping[str, Any], to: Iterable[Recipient]) -> None:
    """A secret would stay readable in the task's arguments. Raises InvalidNotification."""
    version = versions.named(words["template"]) if "template" in words else None
    if version is None:
        return
    given = set(words.get("context", {})).union(*(one.context for one in to))
    if shown := sorted(version.secret & given):
        detail = (
            f"gives {', '.join(shown)}, which {words['template']!r} marks secret, and a task's arguments can be read. "
            "Call notifications.notify() or POST /notifications instead."
        )
        raise InvalidNotification([Problem("context", detail)])


def _problems(words: Mapping[str, Any]) -> Iterator[Problem]:
    for name in sorted(set(words) - set(WORDS)):
        yield Problem(name, f"means nothing here; there are to, {', '.join(WORDS)}.")
    yield from _text_problems(words)
    yield from bodies.problems(words)
    yield from _shape_problems(words)
    yield from _file_problems(words.get("attachments", []))


def _text_problems(words: Mapping[str, Any]) -> Iterator[Problem]:
    for name in TEXTS:
        if not isinstance(words.get(name, ""), str):
            yield Problem(name, f"is no text, but {_kind(words[name])}.")


def _shape_problems(words: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(words.get("context", {}), Mapping):
        yield Problem("context", f'is {_kind(words["context"])}; give a mapping, such as {{"name": "Ann"}}.')
    answers = words.get("reply_to", [])
    if not isinstance(answers, list | tuple) or not all(isinstance(one, str) for one in answers):
        yield Problem("reply_to", 'is no list of addresses; write ["office@example.org"].')


def _file_problems(files: Any) -> Iterator[Problem]:
    if not isinstance(files, list | tuple):
        yield Problem("attachments", 'is no list; write [{"storage_name": "reports/week.pdf"}].')
        return
    for number, file in enumerate(files):
        if not _names_a_file(file):
            yield Problem(
                f"attachments.{number}",
                'names no file of the storage; write {"storage_name": "reports/week.pdf"}, and, if you like, "name" '
                'and "content_type".',
            )


def _names_a_file(file: Any) -> bool:
    return (
        isinstance(file, Mapping)
        and bool(file.get("storage_name"))
        and set(file) <= set(FILE)
        and all(isinstance(value, str) for value in file.values())
    )


def _recipient_problems(number: int, one: Any) -> Iterator[Problem]:
    if isinstance(one, str) or (isinstance(one, Mapping) and isinstance(one.get("email"), str)):
        return
    yield Problem(
        f"to.{number}",
        f'is {_kind(one)} without an address; write "ann@example.org" or '
        '{"email": "ann@example.org", "name": "Ann"}.',
    )


def _recipient(one: Any) -> Recipient:
    if isinstance(one, str):
        return Recipient(one)
    values = {str(name): value for name, value in one.items() if name != "email"}
    language = one.get("language", "")
    return Recipient(one["email"], values, language if isinstance(language, str) else "")


def _stored(file: Mapping[str, str]) -> Stored:
    return attachments.stored(
        file["storage_name"], name=file.get("name", ""), content_type=file.get("content_type", "")
    )


def _as_list(to: Any) -> str:
    return f"[{to!r}]" if isinstance(to, str) else '["ann@example.org"]'


def _kind(value: Any) -> str:
    """As JSON calls it."""
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return "null" if value is None else f"a {type(value).__name__}"
