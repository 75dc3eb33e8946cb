"""The admin pages of notifications, each in its own module."""

from notifications import admin_templates

__all__ = ["admin_templates"]
