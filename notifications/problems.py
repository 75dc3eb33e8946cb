"""What is wrong with what a caller gave, field by field, with the cure."""

from collections.abc import Sequence
from dataclasses import dataclass

from routing.errors import PermanentError


@dataclass(frozen=True)
class Problem:
    field: str
    """Such as ``subject`` or ``to.0``."""
    detail: str


class InvalidNotification(PermanentError, ValueError):
    """It cannot be sent as it is; ``problems`` names each field and the cure."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(f"{problem.field} {problem.detail}" for problem in problems))
        self.problems = tuple(problems)
