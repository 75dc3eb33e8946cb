"""Headless Chromium at any width, light or dark; whatever goes wrong inside it fails the test."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect

PASSWORD = "correct horse battery"  # noqa: S105

OpenPage = Callable[..., Page]
DEADLINE = 90_000
"""Milliseconds: how long anything is waited for."""
expect.set_options(timeout=DEADLINE)


@pytest.fixture
def administrator(transactional_db: None) -> User:
    return User.objects.create_superuser("ada", "ada@example.org", PASSWORD)


@pytest.fixture
def open_page(chromium: Browser, live_server: object) -> Iterator[OpenPage]:
    """A new window: ``open_page(width=360, dark=True, scripts=False, language="fr-FR")``."""
    contexts: list[BrowserContext] = []
    trouble: list[str] = []

    def new(
        *, width: int = 1280, height: int = 800, dark: bool = False, scripts: bool = True, language: str = "en-US"
    ) -> Page:
        context = chromium.new_context(
            base_url=str(live_server),
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            locale=language,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(DEADLINE)
        _note_trouble(page, trouble)
        return page

    yield new
    for context in contexts:
        context.close()
    assert trouble == []


def _note_trouble(page: Page, trouble: list[str]) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            trouble.append(message.text)

    def on_response(answer: Response) -> None:
        if answer.status >= 400:
            trouble.append(f"{answer.status} {answer.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("response", on_response)
