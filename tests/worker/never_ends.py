"""Loaded by a worker with ``--include``, it keeps that from ever leaving the signal handler that stops it."""

import threading
from typing import Any

from celery.signals import worker_shutting_down


@worker_shutting_down.connect(weak=False)
def hang(**_: Any) -> None:
    threading.Event().wait()
