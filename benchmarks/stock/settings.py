"""Celery and django-celery-results, set up as their documentation recommends for durability and visibility.

STOCK_KEEPS_CONNECTIONS and STOCK_WITHOUT_RESULTS make the two other forms that the benchmark compares with, each with
a queue of its own.
"""

import os

import environ
from kombu import Queue

SECRET_KEY = "only-for-benchmarks"  # noqa: S105
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_celery_results", "benchmarks.stock"]
DATABASES = {"default": environ.Env.db_url_config(os.environ["STOCK_DATABASE_URL"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

EMAIL_HOST, EMAIL_PORT = "127.0.0.1", int(os.environ.get("STOCK_EMAIL_PORT", "25"))

CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# "Publisher confirms": without them a message that the broker refuses is lost in silence.
CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": "STOCK_WITHOUT_CONFIRMS" not in os.environ}
QUEUE = os.environ.get("STOCK_QUEUE", "stock")
CELERY_TASK_DEFAULT_QUEUE = QUEUE
CELERY_TASK_QUEUES = [Queue(QUEUE, routing_key=QUEUE, queue_arguments={"x-queue-type": "quorum"})]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True

CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_TIMEZONE = TIME_ZONE

if "STOCK_WITHOUT_RESULTS" in os.environ:
    CELERY_TASK_IGNORE_RESULT = True
else:
    CELERY_RESULT_BACKEND = "django-db"
    CELERY_RESULT_EXTENDED = True
    CELERY_TASK_TRACK_STARTED = True

if "STOCK_KEEPS_CONNECTIONS" in os.environ:
    CELERY_DB_REUSE_MAX = 10**9
