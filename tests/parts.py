"""The suite in parts of about the same length, each with services of its own: ``TEST_PART=1`` to ``TEST_PART=3``.

Most of the time a test waits for processes, so that several of them side by side take little longer than one.
"""

import os

import pytest

OTHERS = "2"
"""What is in no other part."""
FILES = {
    "1": (
        *("tests/attacks/", "tests/pipeline/", "tests/prove_schedule/", "tests/retention/", "tests/schedule/"),
        "tests/broker/test_namespace.py",
    ),
    "3": ("tests/browser/", "tests/console/", "tests/management/", "tests/notifications/", "tests/reporting/"),
}
PARTS = ("1", OTHERS, "3")

PART = os.environ.get("TEST_PART", "")


def belongs(node_id: str, *, part: str) -> bool:
    """By its file alone, so that pytest's memory of what failed holds good, whatever else is asked for."""
    return part in ("", next((name for name, files in FILES.items() if node_id.startswith(files)), OTHERS))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not belongs(item.nodeid, part=PART)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if belongs(item.nodeid, part=PART)]
