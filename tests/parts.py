"""The suite in parts of about the same length, each with services of its own: ``TEST_PART=1`` to ``TEST_PART=5``.

Most of the time a test waits for processes, so that several of them side by side take little longer than one.
"""

import os
from pathlib import Path

import pytest

OTHERS = "2"
"""What is in no other part."""
FILES = {
    "1": ("tests/attacks/", "tests/retention/", "tests/broker/test_namespace.py"),
    "3": ("tests/console/", "tests/management/", "tests/notifications/", "tests/reporting/"),
    "4": ("tests/pipeline/", "tests/prove_schedule/", "tests/schedule/"),
    "5": ("tests/browser/",),
}
PARTS = ("3", "4", "5", "1", OTHERS)
"""The longest first, so that none is left to run alone in the end."""

PART = os.environ.get("TEST_PART", "")


def belongs(node_id: str, *, part: str) -> bool:
    """By its file alone, so that pytest's memory of what failed holds good, whatever else is asked for."""
    return part in ("", next((name for name, files in FILES.items() if node_id.startswith(files)), OTHERS))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is not even read costs nothing. A file that is named in the arguments is read all the same."""
    file = collection_path.relative_to(config.rootpath).as_posix() if collection_path.name.startswith("test_") else ""
    return True if file and not belongs(file, part=PART) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not belongs(item.nodeid, part=PART)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if belongs(item.nodeid, part=PART)]
