"""The result backend: django-celery-results' tables, with one row from enqueueing to the outcome.

Compared with its parent it writes arguments as real JSON, keeps the true start, and never changes a recorded outcome.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django_celery_results.backends.database import DatabaseBackend

from routing.ledger import results
from routing.ledger.patience import until_reachable


class ResultBackend(DatabaseBackend):
    def record_enqueued(self, *, name: str, headers: Mapping[str, Any], body: Any, queue: str) -> None:
        """Write the PENDING row of a task that is about to be published. Safe to call again."""
        wants_none = headers.get("ignore_result")
        if wants_none is None and (task := self.app.tasks.get(name)):
            # Sent by name, the task's own declaration counts.
            wants_none = task.ignore_result
        if wants_none:
            return
        args, kwargs, _ = body
        content_type, content_encoding, _ = self.encode_content(None)
        results.record_enqueued(
            headers["id"],
            task_name=name,
            meta={"queue": queue, "root_id": headers.get("root_id"), "parent_id": headers.get("parent_id")},
            periodic_task_name=headers.get("periodic_task_name"),
            content_type=content_type,
            content_encoding=content_encoding,
            **self._arguments(args, kwargs),
        )

    def withdraw(self, task_id: str, *, since: datetime) -> None:
        """Take back the PENDING row, written since then, of a task that could not be published."""
        results.withdraw(task_id, since=since)

    def claim(self, request: Any, *, seconds: float) -> results.Claim | None:
        """Mark a task as started by this worker. None if its outcome is recorded already.

        Waits ``seconds`` for a database that is away, then raises its error.
        """
        content_type, content_encoding, _ = self.encode_content(None)
        claim = partial(
            results.claim,
            request.id,
            task_name=request.task,
            worker=request.hostname,
            meta=_meta(request),
            content_type=content_type,
            content_encoding=content_encoding,
            **self._arguments(request.args, request.kwargs),
        )
        return until_reachable(claim, seconds=seconds)

    def _store_result(
        self,
        task_id: str,
        result: Any,
        status: str,
        traceback: str | None = None,
        request: Any | None = None,
        using: str | None = None,
    ) -> Any:
        content_type, content_encoding, encoded = self.encode_content(result)
        fields = _known_of(request)
        if request is not None and getattr(request, "args", None) is not None:
            fields |= self._arguments(request.args, request.kwargs)
        store = partial(
            results.store,
            task_id,
            status=status,
            result=encoded,
            # A traceback may hold a NUL, which PostgreSQL cannot store.
            traceback=traceback.replace("\0", "\\0") if traceback else traceback,
            meta={
                **(_meta(request) if hasattr(request, "delivery_info") else {}),
                "children": self.current_task_children(request),
            },
            content_type=content_type,
            content_encoding=content_encoding,
            **fields,
        )
        until_reachable(store)
        return encoded

    def _arguments(self, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> dict[str, str]:
        _, _, task_args = self.encode_content(list(args or ()))
        _, _, task_kwargs = self.encode_content(dict(kwargs or {}))
        return {"task_args": task_args, "task_kwargs": task_kwargs}


def _meta(request: Any) -> dict[str, Any]:
    delivery = request.delivery_info or {}
    return {
        "queue": delivery.get("routing_key"),
        "attempt": (request.retries or 0) + 1,
        "replaced": request.replaced_task_nesting or 0,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
    }


def _known_of(request: Any) -> dict[str, Any]:
    """Task and worker, where the request tells: Celery passes a thinner one for what it revokes or cannot run."""
    known = {
        "task_name": getattr(request, "task", None) or getattr(request, "name", None),
        "worker": getattr(request, "hostname", None),
    }
    return {name: value for name, value in known.items() if value is not None}
