"""Where Django looks for admin pages."""

from notifications import admin_pacing

__all__ = ["admin_pacing"]
