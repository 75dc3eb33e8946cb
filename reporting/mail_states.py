"""What became of a report's mails, as the domain that mails them tells; reporting knows that one by a setting alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.module_loading import import_string

from routing.console.result_rows import StateWord


@dataclass(frozen=True)
class MailState:
    """``at`` is when it came to its end; ``url``, the admin's page of it."""

    word: StateWord
    why: str = ""
    at: datetime | None = None
    url: str = ""


def of(keys: Sequence[str]) -> Mapping[str, MailState]:
    """By the mails' keys; one that is not there has not been taken up yet, or is not kept any more."""
    found = [key for key in keys if key]
    if not found or not settings.TASKYARD_REPORT_MAILS:
        return {}
    told: Mapping[str, MailState] = import_string(f"{settings.TASKYARD_REPORT_MAILS}.told")(found)
    return told
