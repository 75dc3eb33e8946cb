"""Where Django looks for admin pages."""

from notifications import admin_consent

__all__ = ["admin_consent"]
