"""What a page says first: whether all is well, and else what to do about it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """``tone`` is ``good``, ``look`` or ``bad``; details are sentences that name a cure."""

    tone: str
    sentence: str
    details: list[str] = field(default_factory=list)
