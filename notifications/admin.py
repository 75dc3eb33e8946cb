"""The admin's pages of notifications, each in a module of its own."""

from notifications import admin_deliveries, admin_notifications

__all__ = ["admin_deliveries", "admin_notifications"]
