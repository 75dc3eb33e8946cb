"""How every process logs: one line per event, for people in colour or for machines as JSON."""

import logging.config
import os
import sys
from typing import Any, ClassVar

from celery import signals

from routing import correlation

FORMATS = ("text", "json")


def config(*, fmt: str, level: str) -> dict[str, Any]:
    """A ``LOGGING`` dictionary whose lines name the task that runs; as JSON also what it belongs to."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": _json() if fmt == "json" else {"()": Line, "colours": _in_colour()}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "amqp": {"level": "WARNING"},
            "celery.worker.consumer.connection": {"level": "INFO"},
            "celery.redirected": {"level": "WARNING"},
            # "Task … received", for each, while the ledger shows which are in flight; LOG_LEVEL=DEBUG has it.
            "celery.worker.strategy": {"level": "DEBUG" if level == "DEBUG" else "WARNING"},
            "fontTools": {"level": "WARNING"},
            # Each step of each page.
            "weasyprint.progress": {"level": "WARNING"},
        },
    }


class Line(logging.Formatter):
    """``09:00:00 [info] what happened [where] task=… id=…``, and no more work than that: there is one for each task."""

    COLOURS: ClassVar = {"warning": "33", "error": "31", "critical": "31;1"}

    def __init__(self, *, colours: bool) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._colours = colours
        self._second, self._time = 0, ""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's own name)
        level = record.levelname.lower()
        if self._colours:
            level = f"\033[{self.COLOURS.get(level, '32')}m{level}\033[0m"
        line = f"{self._at(record)} [{level}] {record.message} [{record.name}]"
        running = correlation.work()
        # Celery's own lines name the task by themselves.
        if running and running.task_id not in record.message:
            line += f" task={running.task} id={running.task_id}"
        return line

    def _at(self, record: logging.LogRecord) -> str:
        if int(record.created) != self._second:
            self._second, self._time = int(record.created), self.formatTime(record, self.datefmt)
        return self._time


def _json() -> dict[str, Any]:
    # Not above: it takes rich and pygments with it, and lines of text need none of them.
    import structlog

    stdlib = structlog.stdlib
    return {
        "()": stdlib.ProcessorFormatter,
        "foreign_pre_chain": [
            _add_correlation,
            stdlib.add_log_level,
            stdlib.add_logger_name,
            stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        "processors": [
            stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    }


def _add_correlation(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    return event | correlation.fields()


def _in_colour() -> bool:
    """NO_COLOR and FORCE_COLOR as no-color.org and force-color.org have them; else whether people are watching."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()


@signals.setup_logging.connect
def _keep_django_logging(**_: Any) -> None:
    """Celery would set up logging of its own; a receiver of this signal stops it."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
