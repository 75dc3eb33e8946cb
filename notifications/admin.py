"""The admin pages of notifications, each in its own module."""

from notifications import (
    admin_chat,
    admin_consent,
    admin_deliveries,
    admin_notifications,
    admin_pacing,
    admin_templates,
    admin_webhooks,
)

__all__ = [
    "admin_chat",
    "admin_consent",
    "admin_deliveries",
    "admin_notifications",
    "admin_pacing",
    "admin_templates",
    "admin_webhooks",
]
