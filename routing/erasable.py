"""What the pipeline holds of a person: what tasks were called with and came to, and who did what."""

import json
from typing import Any

from celery import states
from django.contrib.admin.models import LogEntry
from django.db.models import Q
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.erasing import ERASED, Kind, Term, erasable
from routing.ledger import database
from routing.ledger.results import REMOVED_AT, read_meta
from routing.ledger.tables import DeadLetter, Message, UniqueKey
from routing.worker import cancelling

LONGEST_REPR = 200


@erasable
class TasksInFlight(Kind):
    """They are cancelled, before the results are gone through, among which they are then."""

    kind = "tasks in flight, cancelled"
    model, texts = Message, ("body", "headers", "properties", "progress", "error")
    may_be_sealed = alone = True

    def erase(self, row: Message, term: Term, *, by: str) -> None:
        cancelling.cancel(row.pk, cancelling.Order(by=by, note="What it was called with is erased."))


@erasable
class Results(Kind):
    """The outcome stays, as with what retention empties."""

    kind = "results"
    model, texts = TaskResult, ("task_args", "task_kwargs", "result", "traceback", "meta")
    may_be_sealed = True

    def erase(self, row: TaskResult, term: Term, *, by: str) -> None:
        meta = {**term.out_of_value(read_meta(row)), REMOVED_AT: database.now().isoformat()}
        TaskResult.objects.using(self.using).filter(pk=row.pk).update(
            task_args=None, task_kwargs=None, traceback=None, result=_told(row), meta=json.dumps(meta)
        )


def _told(row: TaskResult) -> str | None:
    """Of an error its kind, which Celery needs to read it."""
    if row.status == states.SUCCESS:
        return None
    try:
        error = json.loads(row.result or "null")
    except ValueError:
        return None
    return json.dumps({**error, "exc_message": [ERASED]}) if isinstance(error, dict) and "exc_type" in error else None


@erasable
class DeadLetters(Kind):
    """What is left tells that there was one, and cannot be replayed."""

    kind = "dead letters"
    model, texts = DeadLetter, ("body", "headers", "properties", "error", "traceback", "history")
    may_be_sealed = True

    def _may_mention(self, term: Term) -> Q:
        # Those of other programs are bytes, which no database looks into alike.
        return super()._may_mention(term) | ~Q(source="")

    def mentions(self, row: DeadLetter, term: Term) -> bool:
        return super().mentions(row, term) or bool(row.raw and term.is_in(row.content.decode(errors="replace")))

    def erase(self, row: DeadLetter, term: Term, *, by: str) -> None:
        kind, colon, _message = (row.error or "").partition(": ")
        decided = {"state": DeadLetter.State.DISCARDED, "decided_by": by[:150], "decided_at": timezone.now()}
        DeadLetter.objects.using(self.using).filter(pk=row.pk).update(
            body="",
            raw=None,
            headers="{}",
            properties="{}",
            traceback=None,
            error=f"{kind}: {ERASED}" if colon and kind.isidentifier() else ERASED,
            history=json.dumps(term.out_of_value(json.loads(row.history))),
            **(decided if row.state == DeadLetter.State.OPEN else {}),
        )


@erasable
class UniqueKeys(Kind):
    """Of a key that nobody shall read, nobody can tell what it keeps apart."""

    kind = "unique keys"
    model, texts = UniqueKey, ("key",)

    def erase(self, row: UniqueKey, term: Term, *, by: str) -> None:
        UniqueKey.objects.using(self.using).filter(pk=row.pk).delete()


@erasable
class Deeds(Kind):
    """Who did what when stays; the name of what it was done with goes."""

    kind = "actions of people"
    model, texts = LogEntry, ("object_repr", "change_message")

    def erase(self, row: Any, term: Term, *, by: str) -> None:
        changed = {name: term.out_of(getattr(row, name)) for name in self.texts}
        changed["object_repr"] = changed["object_repr"][:LONGEST_REPR]
        LogEntry.objects.using(self.using).filter(pk=row.pk).update(**changed)
