"""How every process logs: one line per event, for people in colour or for machines as JSON."""

import logging.config
import os
import sys
from typing import Any

import structlog
from celery import signals

FORMATS = ("text", "json")


def config(*, fmt: str, level: str) -> dict[str, Any]:
    """A ``LOGGING`` dictionary whose lines carry the task's name and id while a task runs."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso" if fmt == "json" else "%H:%M:%S", utc=fmt == "json"),
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(fmt)],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "amqp": {"level": "WARNING"},
            "celery.worker.consumer.connection": {"level": "INFO"},
            "celery.redirected": {"level": "WARNING"},
            # "Task … received", for each, while the ledger shows which are in flight; LOG_LEVEL=DEBUG has it.
            "celery.worker.strategy": {"level": "DEBUG" if level == "DEBUG" else "WARNING"},
            "fontTools": {"level": "WARNING"},
        },
    }


def _renderers(fmt: str) -> list[Any]:
    if fmt == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(
        colors=_in_colour(),
        pad_event_to=0,
        sort_keys=False,
        # The default shows local variables too: long, and some of them secret.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [_without_data, console]


def _without_data(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Celery attaches each message's fields once more as ``data``: good for machines, noise for people."""
    event.pop("data", None)
    return event


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


@signals.task_prerun.connect
def _name_the_task(task_id: str, task: Any, **_: Any) -> None:
    structlog.contextvars.bind_contextvars(task=task.name, id=task_id)


@signals.task_postrun.connect
def _forget_the_task(**_: Any) -> None:
    structlog.contextvars.unbind_contextvars("task", "id")
