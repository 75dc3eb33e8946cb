"""What the pipeline keeps of secret arguments: tasks in flight before what they come to."""

from django_celery_results.models import TaskResult

from routing.ledger.tables import DeadLetter, Message
from routing.resealing import PLACES, Place

PLACES += [
    Place(kind="tasks", model=Message, columns=("body", "headers", "properties", "progress", "error")),
    Place(kind="results", model=TaskResult, columns=("task_args", "task_kwargs", "result", "traceback", "meta")),
    Place(
        kind="letters",
        model=DeadLetter,
        columns=("body", "raw", "headers", "properties", "error", "traceback", "history"),
    ),
]
