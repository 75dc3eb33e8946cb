"""Whether a delivery may go now, by the limits and by whether its host answers."""

from notifications.tables import Delivery


def pass_through(delivery: Delivery, *, host: str) -> None:
    """Raises NotYet where it is not its turn."""


def record(delivery: Delivery, *, host: str, error: str = "") -> None:
    """How the host answered; ``error`` where it did not."""
