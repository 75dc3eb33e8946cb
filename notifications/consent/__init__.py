"""Who does not want, or must not be sent, what: preferences by category, and the suppression list."""

from notifications.consent.rules import headers, objection, suppress, values

__all__ = ["headers", "objection", "suppress", "values"]
