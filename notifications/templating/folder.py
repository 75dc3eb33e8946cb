"""Templates as files, one folder for each, so that they can be reviewed, and moved from staging to production."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from notifications import languages
from notifications.templating import declared, versions
from notifications.templating.declared import Undeclarable, Variable
from notifications.templating.rendering import EMPTY, Sources
from notifications.templating.tables import TemplateVersion

ABOUT, SUBJECT, HTML, TEXT = "template.json", "subject.txt", "body.html", "body.txt"
"""In another language they are ``subject.fr.txt``, ``body.fr.html`` and ``body.fr.txt``."""


class Unreadable(Exception):
    """Files that are no template; the message names the file and the cure."""


@dataclass(frozen=True, kw_only=True)
class Filed:
    """A template as it lies in a folder of its name."""

    name: str
    description: str
    sources: Sources
    variables: list[Variable]
    translations: dict[str, Sources] = field(default_factory=dict)


def write(folder: Path, version: TemplateVersion) -> Path:
    """Its files, which replace those of an earlier version. Raises OSError."""
    own = folder / version.template.name
    own.mkdir(parents=True, exist_ok=True)
    about = {"description": version.template.description, "variables": _rows(version)}
    _write(own / ABOUT, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    _write_said(own, versions.sources_of(version))
    translations = versions.translations_of(version)
    for language in languages.others():
        _write_said(own, translations.get(language, EMPTY), language)
    return own


def read(folder: Path) -> Iterator[Filed]:
    """Each template in it, by name. Raises Unreadable."""
    if not folder.is_dir():
        raise Unreadable(f"{folder} is no folder. Name the one that templates were exported to.")
    found = sorted(about.parent for about in folder.glob(f"*/{ABOUT}"))
    if not found:
        raise Unreadable(f"{folder} has no template: there is no {folder / '*' / ABOUT}.")
    yield from map(_read, found)


def _write_said(own: Path, said: Sources, language: str = "") -> None:
    """What is empty has no file."""
    for name, source in ((SUBJECT, said.subject and f"{said.subject}\n"), (HTML, said.html), (TEXT, said.text)):
        path = own / _of_language(name, language)
        if source:
            _write(path, source)
        else:
            path.unlink(missing_ok=True)


def _of_language(name: str, language: str) -> str:
    stem, dot, suffix = name.partition(".")
    return f"{stem}.{language}{dot}{suffix}" if language else name


def _rows(version: TemplateVersion) -> list[dict[str, Any]]:
    return [variable.stored() for variable in versions.declared_by(version)]


def _read(own: Path) -> Filed:
    about = _about(own / ABOUT)
    try:
        variables = declared.read(about.get("variables", []))
    except Undeclarable as error:
        raise Unreadable(f"{own / ABOUT}: {error}") from None
    return Filed(
        name=own.name,
        description=str(about.get("description", "")),
        sources=_said(own),
        variables=variables,
        translations={language: _said(own, language) for language in _languages(own)},
    )


def _languages(own: Path) -> list[str]:
    """Those that any of the files is written in, also such as nobody speaks here: that is told."""
    names = (path.name.split(".") for pattern in ("subject.*.txt", "body.*.*") for path in own.glob(pattern))
    # What editors keep beside a file, such as body.html.orig, is nobody's language.
    return sorted({parts[1] for parts in names if len(parts) == 3 and parts[2] in ("html", "txt")})


def _said(own: Path, language: str = "") -> Sources:
    subject, text, html = (own / _of_language(name, language) for name in (SUBJECT, TEXT, HTML))
    return Sources(subject=_text(subject, is_required=True).strip("\n"), text=_text(text), html=_text(html))


def _about(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path, is_required=True))
    except ValueError as error:
        raise Unreadable(f"{path} is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Unreadable(f'{path} must be an object: {{"description": "…", "variables": […]}}.')
    if unknown := sorted(set(found) - {"description", "variables"}):
        raise Unreadable(f"{path} has {', '.join(unknown)}; it may have description and variables.")
    return found


def _text(path: Path, *, is_required: bool = False) -> str:
    if not is_required and not path.exists():
        return ""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is not written in UTF-8. Save it so.") from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
