"""A whole report: one sentence that says how it went, and sections of blocks. Stored as data, shown by the forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reporting.documents import storing
from reporting.documents.blocks import Block
from reporting.documents.cells import Tone
from reporting.documents.storing import stored


@stored("part")
@dataclass(frozen=True, kw_only=True)
class Part:
    """What one section has to say. ``name`` is for machines."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@stored("document")
@dataclass(frozen=True, kw_only=True)
class Document:
    report: str
    """The name of its report, such as ``weekly``."""
    title: str
    period: str
    """Such as ``2026-W46``."""
    period_words: str
    subject: str
    verdict: str
    built_at: datetime
    tone: str = Tone.GOOD
    """``good`` or ``bad``."""
    language: str = "en"
    domains: tuple[str, ...] = ()
    """Those it was limited to; none where it is about all."""
    notes: tuple[str, ...] = ()
    """What is to be known about the whole of it, such as that it is late; shown below the verdict."""
    parts: tuple[Part, ...] = ()

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = storing.as_json(self)
        return found

    @classmethod
    def from_json(cls, stored_as: Mapping[str, Any]) -> "Document":
        found = storing.from_json(stored_as)
        assert isinstance(found, cls)  # noqa: S101  (as_json wrote it)
        return found
