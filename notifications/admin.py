"""The admin pages of notifications, each in its own module."""

from notifications import admin_consent, admin_deliveries, admin_notifications, admin_pacing, admin_templates

__all__ = ["admin_consent", "admin_deliveries", "admin_notifications", "admin_pacing", "admin_templates"]
