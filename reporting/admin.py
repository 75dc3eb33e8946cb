"""The admin pages of the reporting domain."""

from reporting import admin_runs, admin_subscriptions  # noqa: F401
