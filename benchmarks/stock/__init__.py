"""Stock Celery in a Django project, with the results in its database: what the pipeline is measured against."""

from benchmarks.stock.celery import app as celery_app

__all__ = ("celery_app",)
