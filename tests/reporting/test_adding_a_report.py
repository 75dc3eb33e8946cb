"""Adding a report takes one file: the one that docs/reports.md shows."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command

from reporting import reports
from tests.stored_results import store
from tests.workers import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture
def _daily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (code,) = re.findall(r"```python\n(\"\"\"The days.*?)```", (ROOT / "docs" / "reports.md").read_text(), re.DOTALL)
    (tmp_path / "daily.py").write_text(code)
    monkeypatch.setattr(reports, "__path__", [*reports.__path__, str(tmp_path)])
    reports.reports.cache_clear()
    yield
    sys.modules.pop("reporting.reports.daily", None)
    reports.reports.cache_clear()


@pytest.mark.usefixtures("_daily")
def test_the_documented_file_is_a_report(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    yesterday = reports.named("daily").period_of(now)
    store(done_at=yesterday.starts_at + timedelta(hours=3))

    call_command("report", "daily", "--out", str(tmp_path / "out"))

    assert "1 tasks finished." in (tmp_path / "out" / "daily.txt").read_text()
    assert list(reports.reports()) == ["broken-now", "daily", "weekly"]


def test_without_its_file_there_is_none() -> None:
    assert "daily" not in reports.reports()
