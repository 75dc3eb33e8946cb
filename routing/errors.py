"""The errors a task may raise to say what shall become of it."""

from datetime import timedelta


class TransientError(Exception):
    """It may work later: the task is retried as its domain's policy says.

    ``retry_after`` overrides the policy's delay, where the other side said when to come back.
    """

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotYet(TransientError):
    """Nothing was tried, because it was not its turn: it runs again after a while, and that is no attempt of it.

    What the body did before it is kept, unless the task is atomic.
    """

    def __init__(self, message: str, *, after: timedelta) -> None:
        super().__init__(message, retry_after=after)
        self.after = after


class PermanentError(Exception):
    """It will never work: the task fails at once."""
