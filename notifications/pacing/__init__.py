"""How fast, and whether at all just now, a channel or a host is sent to, by all workers together."""

from notifications.pacing.gates import pass_through, record

__all__ = ["pass_through", "record"]
