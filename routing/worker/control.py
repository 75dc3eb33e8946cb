"""Remote control whose revocations are the ledger's: they are recorded with all workers off, and RabbitMQ too.

All that Celery offers comes by here: ``app.control.revoke``, ``AsyncResult.revoke``, ``celery control revoke`` and
Flower's button. What another application broadcasts is recorded by each worker that hears of it.
"""

from collections.abc import Mapping
from typing import Any

import django
from celery.app.control import Control as CeleryControl
from django.apps import apps

COMMANDS = ("revoke", "terminate")
LEDGER = "ledger"
"""Where a worker's name would stand in a reply."""


class Control(CeleryControl):
    def broadcast(  # type: ignore[override]
        self, command: str, arguments: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """As Celery's; but a revocation goes into the ledger, and workers learn of it from there within a second."""
        if command not in COMMANDS:
            return super().broadcast(command, arguments, **options)
        if not apps.ready:
            # Celery's own commands do without Django's models.
            django.setup()
        from routing.worker import revocations

        answer = {LEDGER: {"ok": revocations.carry_out(command, arguments or {})}}
        if not options.get("reply"):
            return None
        if callback := options.get("callback"):
            callback(answer)
        return [answer]
