"""The suite in two parts of about the same length, each with services of its own: ``TEST_PART=1`` or ``TEST_PART=2``.

Most of the time a test waits for processes, so that two of them side by side take little longer than one.
"""

import os

import pytest

PARTS = ("1", "2")
FIRST = (
    *("tests/attacks/", "tests/pipeline/", "tests/prove_schedule/", "tests/retention/", "tests/schedule/"),
    "tests/broker/test_namespace.py",
)
"""What is not here is the second part."""

PART = os.environ.get("TEST_PART", "")


def belongs(node_id: str, *, part: str) -> bool:
    """By its file alone, so that pytest's memory of what failed holds good, whatever else is asked for."""
    return part in ("", "1" if node_id.startswith(FIRST) else "2")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not belongs(item.nodeid, part=PART)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if belongs(item.nodeid, part=PART)]
