"""What a section is: a name, a title, and what it has to say about a period; nothing, and it is left out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from reporting.documents.blocks import Block
from reporting.periods import Period


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a report is about. ``domains`` None: all of them."""

    period: Period
    now: datetime
    domains: frozenset[str] | None = None


class Section(ABC):
    name: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def blocks(self, scope: Scope) -> Iterable[Block]: ...
