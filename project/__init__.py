"""The project: settings, domains, the Celery application and how its processes are started."""

from project import complaints
from project.celery import app as celery_app

__all__ = ("celery_app",)

complaints.install()
