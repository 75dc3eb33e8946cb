"""Calls that the ledger refuses, before it touches the database. Each message tells the cure."""


class PayloadTooLarge(ValueError):
    def __init__(self, task: str, size: int, limit: int) -> None:
        super().__init__(
            f"The arguments of {task} come to {size:,} bytes; the limit is {limit:,} (TASKYARD_MAX_PAYLOAD). Store the "
            "data and pass its key, or raise the limit."
        )


class NotSerialisable(TypeError):
    def __init__(self, task: str, error: Exception) -> None:
        super().__init__(
            f"The arguments of {task} cannot be written as JSON: {error}. Pass plain values, or the key of a stored "
            "object."
        )


class UnusableHeaders(ValueError):
    def __init__(self, task: str, why: str) -> None:
        super().__init__(
            f"RabbitMQ cannot take the headers and properties of {task}: {why}. Use short text, numbers of at most 64 "
            "bits and a priority from 0 to 255; pass anything else as an argument."
        )


class UnusableId(ValueError):
    def __init__(self, what: str, value: object) -> None:
        super().__init__(f"{value!r} cannot be the {what}: use text of 1 to 255 bytes, without NUL.")


def require_text(what: str, value: object, *, optional: bool = True) -> None:
    """Raises UnusableId where it is no text that every database can keep."""
    if value is None and optional:
        return
    if not isinstance(value, str) or "\0" in value or not 0 < len(value.encode(errors="surrogatepass")) <= 255:
        raise UnusableId(what, value)


class NaiveTime(ValueError):
    def __init__(self, value: object) -> None:
        super().__init__(
            f"{value!r} has no time zone. Use django.utils.timezone.now() + timedelta(…), or an aware datetime."
        )


class UnusableTime(ValueError):
    def __init__(self, option: str, value: object, cure: str) -> None:
        super().__init__(f"{option}={value!r:.60} is no time that can be kept: use {cure}.")


class UniqueInCanvas(ValueError):
    def __init__(self, task: str) -> None:
        super().__init__(
            f"{task} has an id already (task_id=, or from a group, chain or chord), so it cannot join another task by "
            "unique_key=. Call it by itself, from a task of the canvas if need be."
        )


class NotCommitted(RuntimeError):
    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"The task {task_id} was enqueued in the transaction that is still open, so no worker can see it and its "
            "result would never come. Wait for it after the transaction."
        )


class TaskOutsideTransaction(UserWarning):
    """A task is enqueued while a transaction is open on another database than the ledger's."""


class WrongDeclaration(TypeError):
    def __init__(self, task: str, what: str, cure: str) -> None:
        super().__init__(f"The task {task} cannot be declared: {what}. To cure it, {cure}.")


class SecretsInMap(TypeError):
    def __init__(self, task: str, by: str) -> None:
        super().__init__(
            f"{task} has secret arguments, which {by} would keep readable. Call it by enqueue_many(), or in a group."
        )
