"""django-celery-results under the name that people see in the admin."""

from django.utils.translation import gettext_lazy as _
from django_celery_results.apps import CeleryResultConfig


class ResultsConfig(CeleryResultConfig):
    verbose_name = _("Results")
