from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # They register the system checks, and what clean-ups go through.
        from notifications import checks, retention  # noqa: F401
        from notifications.consent import checks as consent_checks  # noqa: F401
        from routing import watching

        watching.add("notifications", "notifications.pacing.standing.told")
        watching.add("undecided deliveries", "notifications.noticing.told")
