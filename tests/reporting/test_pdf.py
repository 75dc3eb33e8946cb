"""A report as pages for print, read again: all that it says, numbered, with nothing torn apart and nothing fetched."""

import io
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pypdf
import pytest

from reporting.documents.blocks import Bars, Column, Heading, Row, Table
from reporting.documents.cells import Count, Text
from reporting.documents.document import Document
from reporting.forms import named, pdf
from reporting.forms.shape import FormAway
from tests.reporting import full_week
from tests.reporting.test_forms import HOSTILE, document
from tests.workers import ROOT, environment

pytestmark = pytest.mark.any_database

A4 = (595, 842)
"""Points."""
ROWS = 40


def read(of: Document) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(named("pdf").render(of)))


def words(page: Any) -> str:
    return " ".join(page.extract_text().split())


def long_table(rows: int) -> Table:
    columns = tuple(Column(title=title) for title in ("Task", "Times"))
    name = "a_task_with_a_very_long_name_" * 5
    cells = ((Text(text=f"begin{number} {name} end{number}"), Count(value=number)) for number in range(rows))
    return Table(columns=columns, rows=tuple(Row(cells=row) for row in cells), stacked=True)


def test_it_says_all_that_the_report_says(settings: Any) -> None:
    settings.SITE_URL = "https://tasks.example.com"
    pages: list[Any] = list(read(document()).pages)
    said = " ".join(map(words, pages))

    for expected in (
        "All 3 tasks accounted for.", "It is late.", "E-mails", "One sentence.", "Small print.", "By the day",
        "1,204 †", ">99.9%", "4.2 s", "9 Nov 2026, 14:05", "+50%", "no longer all kept", "1 / 1",
    ):  # fmt: skip
        assert expected in said
    assert re.sub(r"\s", "", HOSTILE) in re.sub(r"\s", "", said)
    links = {one.get_object()["/A"]["/URI"] for page in pages for one in page["/Annots"]}
    assert {"https://tasks.example.com/admin/x/?a=1&b=2", "https://tasks.example.com/admin/t/"} <= links


@pytest.fixture(scope="module")
def pages() -> list[Any]:
    """Of a report with more rows than one page has room for, each of several lines."""
    return list(read(document(Heading(text="E-mails"), long_table(ROWS))).pages)


@pytest.fixture(scope="module")
def said(pages: list[Any]) -> list[str]:
    """The words on each of them."""
    return list(map(words, pages))


def test_pages_are_a4_numbered_and_say_what_they_are_about(pages: list[Any], said: list[str]) -> None:
    assert len(pages) > 2
    assert {(round(page.mediabox.width), round(page.mediabox.height)) for page in pages} == {A4}
    for number, page in enumerate(said, 1):
        assert f"{number} / {len(said)}" in page
    for page in said[1:]:
        assert "Week 46 of 2026" in page
        assert "Anything" in page
        assert "Times" in page, "the headings of the table"


def test_a_row_is_never_on_two_pages(said: list[str]) -> None:
    for number in range(ROWS):
        (page,) = [page for page in said if f"begin{number} " in page]
        assert f"end{number} " in page


def test_the_same_document_is_the_same_bytes() -> None:
    assert named("pdf").render(document()) == named("pdf").render(document())


def test_a_highest_bar_is_painted() -> None:
    of = document(Bars(caption="By the day", labels=("Mon", "Tue"), values=(1, 7)))

    (page,) = read(of).pages

    fill = "0.615686 0.737255 0.909804 rg"
    assert fill in page.get_contents().get_data().decode("latin-1").replace("0.61568627", "0.615686")  # type: ignore[union-attr]


def test_nothing_is_fetched_from_the_network_or_the_disk(tmp_path: Path) -> None:
    secret = tmp_path / "secret.css"
    secret.write_text("p::after { content: 'leaked' }")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        made = pdf.pages(
            f"<link rel=stylesheet href={secret.as_uri()}><link rel=attachment href={secret.as_uri()}>"
            f"<style>@import '{address}'; body {{ background: url({address}) }}</style>"
            f"<p>Said.<img src={address}><object data={secret.as_uri()}></object>"
        )

        with pytest.raises(BlockingIOError):
            server.accept()
    (page,) = (reader := pypdf.PdfReader(io.BytesIO(made))).pages
    assert words(page) == "Said."
    assert not reader.attachments


def test_without_weasyprint_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)

    with pytest.raises(FormAway, match=r"pip install 'taskyard\[pdf\]'"):
        named("pdf").render(document())


def test_without_the_libraries_of_the_system_the_cure_is_told(tmp_path: Path) -> None:
    """As WeasyPrint fails where there is no Pango; in a process of its own, which has not loaded it yet."""
    (tmp_path / "weasyprint.py").write_text(
        "print('a page of advice')\nraise OSError(\"cannot load library 'libpango-1.0-0': not found\\nmore\")\n"
    )
    script = "from reporting.forms import pdf; pdf.pages('')"

    done = run(script, PYTHONPATH=str(tmp_path))

    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].endswith(
        "FormAway: WeasyPrint lacks a library of the system (cannot load library 'libpango-1.0-0'). Try: make pdf, or: "
        f"apt-get update && apt-get install {pdf.PACKAGES}"
    )


def test_the_packages_are_those_that_make_installs() -> None:
    assert f"PDF_PACKAGES := {pdf.PACKAGES}\n" in (ROOT / "Makefile").read_text()


def test_neither_a_worker_nor_a_web_process_loads_what_reports_are_made_with() -> None:
    script = (
        "import sys, django; django.setup(); from celery import current_app; from django.urls import get_resolver; "
        "current_app.loader.import_default_modules(); get_resolver().url_patterns; "
        "from reporting.forms import forms; forms(); print(*sys.modules)"
    )

    loaded = run(script).stdout.split()

    assert "reporting.forms.pdf" in loaded
    assert "reporting.admin_runs" in loaded
    assert not {"weasyprint", "xlsxwriter", "fontTools", "PIL"} & set(loaded)


@pytest.mark.django_db
def test_a_full_week_is_few_pages() -> None:
    full_week.happen(results=100)

    made = named("pdf").render(full_week.build())

    assert 2 <= len(pypdf.PdfReader(io.BytesIO(made)).pages) <= 6
    assert len(made) < 300_000


def run(script: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    variables = environment() | {"DJANGO_SETTINGS_MODULE": "project.settings"} | variables
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)
