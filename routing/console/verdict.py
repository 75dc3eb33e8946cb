"""What a page says first: whether all is well, and else what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """``tone`` is ``good``, ``look`` or ``bad``; details are sentences that name a cure, and may lead to more of it."""

    tone: str
    sentence: str
    details: Sequence[str] = field(default_factory=list)
