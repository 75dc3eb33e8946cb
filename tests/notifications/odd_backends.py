"""Backends of a project's own, that fail."""

from pathlib import Path
from typing import Any, ClassVar

from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.console import EmailBackend as Console


class FullDisk(Console):
    """Writes to a device that is always full."""

    def send_messages(self, email_messages: Any) -> int:
        with Path("/dev/full").open("w") as self.stream:
            return super().send_messages(email_messages) or 0


class Failing(BaseEmailBackend):
    """Raises what a test tells it."""

    error: ClassVar[Exception] = ValueError()

    def send_messages(self, email_messages: Any) -> int:
        raise self.error
