from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class ReportingConfig(AppConfig):
    name = "reporting"
    verbose_name = gettext_lazy("Reporting")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from reporting import retention  # noqa: F401  (clean-ups go through its rows, too)
        from routing import watching

        watching.add_metrics(self.name, "reporting.rollups.metrics.families")
