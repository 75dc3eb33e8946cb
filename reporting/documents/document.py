"""A whole report: one sentence that says how it went, and sections of blocks. Stored as data, shown by the forms."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reporting.documents import storing
from reporting.documents.blocks import Block, Link
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
    leads: tuple[Link, ...] = ()
    """Words of the verdict, in its order, that lead to the rows they count."""
    notes: tuple[str, ...] = ()
    """What is to be known about the whole of it, such as that it is late; shown below the verdict."""
    parts: tuple[Part, ...] = ()

    def verdict_in_pieces(self) -> list[Link]:
        """The verdict, piece by piece; those that lead nowhere have no path."""
        pieces, rest = [], self.verdict
        for lead in self.leads:
            # A number is no part of a longer one.
            if found := re.search(rf"(?<![\w.,])(?<!\d\s){re.escape(lead.text)}(?!\w)", rest):
                pieces += [Link(text=rest[: found.start()], path=""), Link(text=found.group(), path=lead.path)]
                rest = rest[found.end() :]
        return [piece for piece in [*pieces, Link(text=rest, path="")] if piece.text]

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = storing.as_json(self)
        return found

    @classmethod
    def from_json(cls, stored_as: Mapping[str, Any]) -> "Document":
        found = storing.from_json(stored_as)
        assert isinstance(found, cls)  # noqa: S101  (as_json wrote it)
        return found
