from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from notifications import checks, retention  # noqa: F401  (system checks; clean-ups go through its rows, too)
        from routing import watching

        watching.add("undecided deliveries", "notifications.noticing.told")
