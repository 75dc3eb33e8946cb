"""The one place where what tasks were called with, and what they returned, is written out for people."""

from typing import Any


def written(stored: str | None, *, user: Any) -> str:  # noqa: ARG001  (so far, who may see a page may see all of it)
    """Of a payload as it is stored, what this user may have."""
    return stored or ""
