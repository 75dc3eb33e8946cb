"""Remote control whose revocations are the ledger's, and so survive restarts and workers that are off."""

from collections.abc import Sequence
from typing import Any

from celery.app.control import Control as CeleryControl

from routing.ledger import lookup


class Control(CeleryControl):
    def revoke(
        self,
        task_id: str | Sequence[str],
        destination: Any = None,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **options: Any,
    ) -> Any:
        """Record REVOKED for what does not run yet, durably. With ``terminate``, for what runs as well, and end it."""
        task_ids = [task_id] if isinstance(task_id, str) else list(task_id)
        for one in task_ids:
            self._record(one, and_running=terminate)
        if terminate:
            return super().revoke(task_ids, destination=destination, terminate=True, signal=signal, **options)
        return None

    def _record(self, task_id: str, *, and_running: bool) -> None:
        backend: Any = self.app.backend
        while (message := lookup.in_flight(task_id)) and (and_running or message.owner is None):
            if backend.settle_unrun(message, status="REVOKED", reason="revoked", error="revoked"):
                return
