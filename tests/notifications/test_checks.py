"""What keeps an installation from starting."""

import pytest
from pytest_django import Settings

from notifications.checks import check_sender


@pytest.mark.parametrize(
    "sender", ["taskyard@localhost", "Taskyard <taskyard@example.org>", "Größe <a@bücher.example>"]
)
def test_a_sender_with_an_address_is_fine(settings: Settings, sender: str) -> None:
    settings.DEFAULT_FROM_EMAIL = sender

    assert check_sender() == []


@pytest.mark.parametrize("sender", ["", "Taskyard", "taskyard@", "a@example.org, b@example.org"])
def test_a_sender_without_one_address_is_an_error_with_its_cure(settings: Settings, sender: str) -> None:
    settings.DEFAULT_FROM_EMAIL = sender

    (error,) = check_sender()

    assert error.id == "notifications.E001"
    assert "such as taskyard@example.org" in str(error.hint)
