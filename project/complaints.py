"""Wrong configuration ends any process of the project with its one sentence, not with a traceback."""

import sys
from types import TracebackType

from celery.exceptions import ImproperlyConfigured as CeleryImproperlyConfigured
from django.core.exceptions import ImproperlyConfigured


def install() -> None:
    sys.excepthook = _complain


def _complain(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, ImproperlyConfigured | CeleryImproperlyConfigured):
        sys.stderr.write(f"{error}\n")
    else:
        sys.__excepthook__(kind, error, traceback)
