"""What runs inside a Celery worker: task base, result backend, consumer, pools."""
