"""The report as an e-mail: HTML and text."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from reporting import mail
from reporting.figures import Cleanups, Figures, Line, Tally, Unfinished
from reporting.weeks import Week

WEEK = Week(2026, 46)
TALLY = Tally(finished=1204, failed=3, revoked=1, median=85_000, p95=4_200_000)
BEFORE = Tally(finished=998, failed=12, median=90_000, p95=61_000_000)


def line(name: str = "notifications.send_email", domain: str = "notifications") -> Line:
    return Line(name=name, domain=domain, now=TALLY, before=BEFORE)


@pytest.fixture
def figures() -> Figures:
    return Figures(
        week=WEEK,
        built_at=WEEK.ends_at + timedelta(hours=9),
        domains=(line("notifications"),),
        tasks=(line(),),
        unfinished=(Unfinished(name="reporting.slow", domain="reporting", count=2, since=WEEK.starts_at),),
    )


def test_the_text_is_laid_out_in_columns(figures: Figures) -> None:
    assert mail.text(figures).splitlines()[6:10] == [
        "BY DOMAIN                    finished         failed    median       p95",
        "------------------------------------------------------------------------",
        "notifications                   1,204       3 (0.2%)     85 ms     4.2 s",
        "  week 45                         998      12 (1.2%)     90 ms   1.0 min",
    ]


def test_no_line_of_the_text_is_too_wide(figures: Figures) -> None:
    assert max(map(len, mail.text(figures).splitlines())) <= mail.WIDTH


def test_both_parts_begin_with_the_verdict_and_link_to_the_results(figures: Figures, settings: Any) -> None:
    settings.SITE_URL = "https://tasks.example.com"

    for part in (mail.text(figures), mail.html(figures)):
        assert "1,204 tasks finished this week, and 2 are still unfinished; 3 failed, all in notifications" in " ".join(
            part.split()
        )
        assert "https://tasks.example.com/admin/django_celery_results/taskresult/" in part


def test_an_empty_week_is_one_friendly_sentence(figures: Figures) -> None:
    empty = Figures(week=WEEK, built_at=figures.built_at)

    assert "A quiet week" in mail.html(empty)
    assert "<th" not in mail.html(empty)
    assert "BY DOMAIN" not in mail.text(empty)


def test_tasks_of_no_domain_and_no_name_are_called_something(figures: Figures) -> None:
    unclaimed = replace(figures, domains=(line("", ""),), tasks=(line("", ""),))

    assert "\nother " in mail.text(unclaimed)
    assert "(no name recorded)" in mail.text(unclaimed)


@pytest.mark.parametrize(
    ("ran", "told"),
    [
        (
            Cleanups(7, {"payloads": 12, "results": 3000}),
            "7 clean-ups removed 3,012 rows past their retention: results 3,000, payloads 12.",
        ),
        (Cleanups(1, {}), "1 clean-up ran in this week and found nothing past its retention."),
        (Cleanups(0, {}), "No clean-up ran in this week, so nothing that is past its retention was removed."),
    ],
)
def test_both_parts_tell_of_clean_ups(figures: Figures, ran: Cleanups, told: str) -> None:
    for part in (mail.text(replace(figures, cleanups=ran)), mail.html(replace(figures, cleanups=ran))):
        assert told in " ".join(part.split())


def test_a_week_so_far_says_so(figures: Figures) -> None:
    running = replace(figures, built_at=WEEK.starts_at + timedelta(days=2))

    assert mail.compose(running)["subject"] == "Taskyard week 46 so far: 1,204 tasks finished, 3 failed"
    assert "The week is not over" in mail.text(running)


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_html_suits_mail_readers(figures: Figures) -> None:
    html = mail.html(figures)
    page = Page(html)

    assert page.all("html") == [{"lang": "en"}]
    assert re.search("<title>Taskyard week 46: 1,204 tasks finished, 3 failed</title>", html)
    assert not page.all("img") + page.all("script") + page.all("link")
    assert all(cell.get("style") for cell in page.all("td") + page.all("th"))
    assert "prefers-color-scheme: dark" in html


def test_names_are_escaped(figures: Figures) -> None:
    hostile = replace(figures, tasks=(line("notifications.<script>alert(1)</script>"),))

    assert not Page(mail.html(hostile)).all("script")


def test_a_pipeline_with_very_many_tasks_stays_below_what_gmail_shows(figures: Figures) -> None:
    names = [f"notifications.{'a_rather_long_name_' * 12}{number}" for number in range(500)]
    many = replace(
        figures,
        domains=tuple(line(f"domain_{number}") for number in range(100)),
        tasks=tuple(line(name) for name in names),
        unfinished=tuple(replace(figures.unfinished[0], name=name) for name in names),
    )

    html = mail.html(many)

    assert len(html.encode()) < 100_000
    assert "… and 480 more tasks, with 1,440 failures" in html
